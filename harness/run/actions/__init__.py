"""What a run does to its machine: one subject a file, each a function of the stage and one action of the plan."""
