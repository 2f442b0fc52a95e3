"""Scores of predictions, one kind a file.

In: predicted distributions or profiles and the true next cells. Out: a number for each current
cell or position, from which `evaluation.py` takes means and intervals.
"""
