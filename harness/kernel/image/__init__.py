"""A kernel's image: its header, payload, configuration, symbols, and what it can do."""
