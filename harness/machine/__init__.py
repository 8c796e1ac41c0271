"""The virtual machine: process, QMP, console, link, memory. Effects only, no judging."""
