"""What the executor does for councils: the problem as it lies in a tree, and candidates tried in their own."""
