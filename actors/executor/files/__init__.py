"""Files of a workspace: read, written, listed and searched, never anything outside."""
