"""Predictors without a network, one file each, fitted on the training split alone.

In: `TrainingPairs` (`training_folds.py`) and a generator. Out: a `Predictor`; `BASELINES` in
`evaluation.py` lists all.
"""
