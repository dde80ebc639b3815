"""What holds commands in, and the small processes that run them."""
