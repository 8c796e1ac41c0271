"""A verdict out of a record."""
