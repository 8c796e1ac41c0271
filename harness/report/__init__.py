"""Verdicts as text and data; decides nothing."""
