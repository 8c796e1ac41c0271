"""The checks: each a pure function from Observations to one or more Checks, evidence included."""
