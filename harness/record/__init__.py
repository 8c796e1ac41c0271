"""A run's directory, written and read, and what it says when it is decoded."""
