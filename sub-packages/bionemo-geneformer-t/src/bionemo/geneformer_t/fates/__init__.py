"""Where cells go: scores of candidates, transition matrices, fates, walks and driver genes.

In: a trained model and encoded cells, or any transition matrix. Out: sparse transition matrices and
what follows from them.
"""
