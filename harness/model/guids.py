"""GUIDs of configuration tables (include/linux/efi.h; UEFI 2.10, 4.6), in lower case."""

from __future__ import annotations

ACPI20 = "8868e871-e4f1-11d3-bc22-0080c73c8881"
ESRT = "b122a263-3661-4f68-9929-78f8b0d62180"
MEMATTR = "dcfa911d-26eb-469f-a220-38b7dc461220"
RTPROP = "eb66918a-7eef-402a-842e-931d21c38ae9"
MOKVAR = "c451ed2b-9694-45d3-baba-ed9f8988a389"
UNACCEPTED = "d5d1de3c-105c-44f9-9ea9-bcef98120031"
INITRD = "5568e427-68fc-4f3d-ac74-ca555231cc68"
TPM_LOG = "b7799cb0-eca2-4943-9667-1fae07b747fa"
TPM_FINAL_LOG = "1e2ed096-30e2-4254-bd89-863bbef82325"
PRIVATE = "5f3b6f1c-3b0d-4e64-9c0f-7d8a5b1e2c46"
"""Of nobody but this harness: a table that no kernel has heard of."""
