"""How good a file is, as far as that can be counted."""
