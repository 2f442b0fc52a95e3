"""The commands `train` and `evaluate` on AnnData objects; `gft.tl` has them among its names.

In: an AnnData object with raw counts, and a graph or a model. Out: a trained model or scores, and
columns of `obs`. Both write or read the data folder of a run, and run the commands themselves.
"""
