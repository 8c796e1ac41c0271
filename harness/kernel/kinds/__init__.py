"""The kinds of entries in the registry, one a file: what its YAML has, and how that becomes a kernel on disk."""
