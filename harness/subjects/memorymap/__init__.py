"""The memory map that a kernel gets, and where it places itself in it."""
