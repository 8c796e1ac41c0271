"""Frozen values that travel between the layers; no behaviour beyond their own invariants."""
