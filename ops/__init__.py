"""What is done to Witan from outside: measuring it, deploying it, and deciding about it."""
