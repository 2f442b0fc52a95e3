"""The network under the isolation rule, what gives its numbers a meaning, and how it is trained.

`NextCellModel` is the network with its vocabulary, settings and kNN memory: current cells in,
distributions over genes at the ranks of the next cell out. `TemporalGeneformerModel` trains it with
Lightning: `TemporalBatch` in, loss out.
"""
