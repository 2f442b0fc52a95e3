"""Builders of graphs of successors, one file each, and the table of all in `builders.py`.

In: `Cells` (points, obs, obsp) and `BuilderSettings`, both in `builder_input.py`. Out: a
`NeighborGraph` and notes on what was chosen, counted or left out. `quality/` measures a graph.
"""
