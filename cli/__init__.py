"""What a person types, and the one place where everything is put together."""
