"""What the record means: one subject, one file, decoder and comparison together.

Everything here is pure: bytes and text in, frozen values out. Input that the decoders cannot accept is not an
exception but a ``Defect`` (see ``harness.evidence.defect``), because it is evidence:
the judge decides whose fault it is.
Addresses are guest-physical. Ranges are half-open (see ``harness.evidence.ranges``).
"""
