"""A scenario file that is right, to be bent by the tests."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SCENARIO = """\
id: group/name
why: Something holds.
matrix: {kernel: [debian-6.1, debian-6.12]}
machine: {memory: 1GiB}
steps:
  - boot
  - kexec: {syscall: file, initrd: {pad: 40MiB}}
expect: [no_crash]
"""
