"""What the acts of a run stand on: the machine, waiting, commands and samples."""
