"""Whose code is at an address, and what a stack says."""
