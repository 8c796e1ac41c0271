"""UEFI firmware: which build, its variable store, and the EFI agent that arranges what a kernel gets from it."""
