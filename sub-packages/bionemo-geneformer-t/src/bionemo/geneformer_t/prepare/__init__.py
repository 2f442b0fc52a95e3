"""From raw counts to a data folder: splits, vocabulary, graphs, summary."""
