"""``efi_fake_mem=`` and the soft reserved memory it makes."""
