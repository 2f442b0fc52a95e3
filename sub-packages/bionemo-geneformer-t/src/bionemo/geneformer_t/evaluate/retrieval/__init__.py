"""Successor retrieval: are a cell's true successors found among all cells of the split?

In: `CandidateSearch` (`candidate_search.py`), of which each `Ranker` (`rankers.py`) scores all
candidates for each current cell. Out: a `Retrieval` (`retrieval.py`), as a table and in sentences
(`retrieval_text.py`).
"""
