"""Attention over packed tokens, one file for each kind of processor.

In: queries, keys, values and the bounds of each cell. Out: the attended values, without padding.
`choose.py` selects the function for a device, a precision and a rate of dropout.
"""
