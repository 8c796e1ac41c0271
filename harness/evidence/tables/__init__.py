"""The EFI tables: how each is made, found, named and read."""
