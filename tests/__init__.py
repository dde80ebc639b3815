"""What shows that Witan does what it promises."""
