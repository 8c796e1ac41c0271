"""Crash formats: a row each, by where they come from."""
