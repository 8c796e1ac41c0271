"""Random scenarios: made, run, judged by the models of ``harness.evidence``, and shrunk to the smallest that fails."""
