"""From raw counts to a data folder.

In: `InputCells` and `PrepareSettings`. Cells are split first; then the vocabulary, medians and
principal components are learned from the training cells, and graphs are built inside each split.
Out: a `GeneVocab`, a `SplitGraph` for each split, and a summary for the terminal.
"""
