"""Who watches: pause, resume, override, freeze, and the letters that nobody could read."""
