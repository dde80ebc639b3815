"""Comparable systems, given the same work as Witan, on the same machine, in the same minutes."""
