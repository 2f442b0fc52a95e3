"""Evaluation of a model beside baselines, controls and bounds on one split.

In: a `Predictor` and the `CellPairs` of a training and a scored split (`evaluation_pairs.py`).
Out: an `Evaluation` (`evaluation.py`): scores of `scores/`, each with a 95 % interval over cells
and donors (`units.py`, `intervals.py`); `text.py` puts it into tables and sentences. kNN memories
are fitted here too (`knn_fit.py`, `knn_memory_fit.py`).
"""
