"""One verb, one file; each is loaded when it is typed."""
