"""Weights in and out: Hugging Face's layout, other vocabularies, LoRA, the entry of a checkpoint.

In: a folder, a checkpoint or a repository of the hub, from which no code is ever run. Out: tensors
under our names, and what they mean.
"""
