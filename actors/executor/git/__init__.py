"""Workspaces as git worktrees, read and written without believing what is in them."""
