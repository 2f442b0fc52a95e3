"""Training runs: their settings, trainer, folder and lock, checkpoints, resuming and loggers.

In: `TrainSettings` and a data folder. Out: the folder of a run, with checkpoints, metrics.csv and
config.yaml. One process at a time trains in it, and a run that is killed resumes exactly.
"""
