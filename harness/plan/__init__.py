"""A plan out of a scenario and what was prepared for it."""
