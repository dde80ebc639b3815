"""Who touches the world: commands in a sandbox, files beneath a workspace, git."""
