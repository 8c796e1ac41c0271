"""The page tables that firmware runs on."""
