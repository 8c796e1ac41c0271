"""Page tables, and the addresses they translate."""
