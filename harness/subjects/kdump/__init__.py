"""A crash, and the dump of the crashed kernel's memory."""
