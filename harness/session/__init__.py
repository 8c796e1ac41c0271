"""Runs prepared, made and judged, many at a time."""
