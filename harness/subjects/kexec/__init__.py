"""One kernel loads and starts the next."""
