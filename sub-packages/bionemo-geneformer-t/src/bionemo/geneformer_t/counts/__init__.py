"""Raw counts of any file, block by block.

In: .h5ad, .zarr, .loom, 10x .h5 and mtx, SCDL archives, AnnData objects. Counts are checked, genes
named, other features left out, several inputs joined. Out: a `CountSource` (one file or object), or
`InputCells` (all inputs of `prepare`, on disk), never the whole matrix in memory.
"""
