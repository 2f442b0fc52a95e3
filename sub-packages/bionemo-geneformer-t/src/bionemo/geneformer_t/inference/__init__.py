"""A trained model is applied: next cells, embeddings, exports, and whether it fits the data.

In: a checkpoint (or weights in Hugging Face's layout) and raw counts, read block by block. Out:
ranked genes with probabilities, vectors of cells and genes, folders for other tools, findings.
"""
