"""The command line: the place where errors become text and exit codes."""

from harness.cli.main import main

__all__ = ["main"]
