"""Evaluations and graphs as tables, figures, a page, a model card."""
