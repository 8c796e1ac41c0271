"""Kernels built from source: recipe, source tree, work directory, make."""
