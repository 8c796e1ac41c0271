"""What a command gives back: reports, documents, and output that may be lost."""
