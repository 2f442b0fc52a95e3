"""One training step: hooks, optimizer, learning rate, finite checks, sharding."""
