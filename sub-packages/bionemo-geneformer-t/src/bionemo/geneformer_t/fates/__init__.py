"""Where cells go: scores of candidate next cells, transition matrices, fates and driver genes.

In: a trained model and encoded cells, or any transition matrix. Out: sparse transition matrices and
what follows from them.
"""
