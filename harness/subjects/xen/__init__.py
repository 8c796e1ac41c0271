"""Firmware's tables with Xen between firmware and the kernel."""
