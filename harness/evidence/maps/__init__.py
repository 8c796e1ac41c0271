"""Memory maps, of firmware and of kernels, and what is placed in them."""
