"""The mechanics of a run: settings, folder, checkpoints, signals, loggers."""
