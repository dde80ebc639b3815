"""The minds that can be asked: one adapter for each way of asking, all of one shape."""
