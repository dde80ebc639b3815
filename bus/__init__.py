"""How messages travel: knows no actor."""
