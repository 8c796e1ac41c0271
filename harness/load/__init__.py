"""YAML files to values: scenarios, known issues, and the schema and reference made from the same models.

Everything that can be wrong with a file is found in one pass and reported as ``file:line:column``.
"""

from harness.load.overrides import Overrides, parse_set
from harness.load.scenarios import Variant, find_files, load_files
from harness.load.selection import load_selection, runs_by_default, select

__all__ = [
    "Overrides",
    "Variant",
    "find_files",
    "load_files",
    "load_selection",
    "parse_set",
    "runs_by_default",
    "select",
]
