"""Calls of runtime services, and firmware that misbehaves in them."""
