"""What happened, as tables: one projector folds the log into DuckDB, and everybody asks it."""
