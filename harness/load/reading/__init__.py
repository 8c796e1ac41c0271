"""A YAML file read, checked against a model, and every mistake said at its place."""
