"""Who comes after whom: builders from cells to a NeighborGraph, one file each."""
