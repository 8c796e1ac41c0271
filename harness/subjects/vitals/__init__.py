"""How a run ended, and who each of its kernels is."""
