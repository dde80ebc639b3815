"""Who works: one class for every agent; a role is a file."""
