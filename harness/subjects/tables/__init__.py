"""EFI tables over kexec: are they where and what firmware handed over?"""
