"""What can be said: one module a kind, its commands and its events as closed unions."""
