"""Who keeps what the team knows how to do: in this release, every version of every playbook."""
