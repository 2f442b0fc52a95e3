"""What a graph of successors is worth, one measure a file."""
