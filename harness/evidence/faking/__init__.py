"""``efi_fake_mem=``: what its entries make of a memory map."""
