"""Memory maps as logs have them, in every wording since 2.6."""
