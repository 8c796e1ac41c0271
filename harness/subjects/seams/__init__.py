"""What one kernel hands to the next besides tables."""
