"""The guest: its initramfs, and what runs inside."""
