"""Kernels that can be tested: the registry, fetching, and reading what a kernel is."""
