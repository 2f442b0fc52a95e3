"""What would change a cell's way: edits of genes in current cells, and their effects.

In: a trained model, current cells and, for fates, the transition matrix and fate probabilities of
the cells that they may become. Out: effects on readouts of the next cell, beside their nulls.
"""
