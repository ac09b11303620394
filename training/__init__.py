"""Windows to weights: the order of the data, the plan of a run, checkpoints, signals, Trainer."""
