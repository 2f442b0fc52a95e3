"""Attention over packed tokens: one function per kind of processor, and the choice between them."""
