"""Debian's archive: apt's own set-up, package lists, packages and what is in them."""
