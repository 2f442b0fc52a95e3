"""Quality of a graph of successors: one measure a file, all in `quality.graph_quality`.

In: a `NeighborGraph` and `CellFacts` (`cell_facts.py`: times, clusters, batches, coordinates).
Out: a `GraphQuality`, and `warnings` in plain sentences.
"""
