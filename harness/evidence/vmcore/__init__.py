"""Dumps of a crashed guest's memory, read and checked without debug info."""

from harness.evidence.vmcore.dump import Dump, Kind, open_dump
from harness.evidence.vmcore.notes import Cpu
from harness.evidence.vmcore.source import Fault, FileDefect, Source

__all__ = ["Cpu", "Dump", "Fault", "FileDefect", "Kind", "Source", "open_dump"]
