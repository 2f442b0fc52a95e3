"""The view of a report in which cells, arrows, fates and genes can be explored.

In: an evaluation, its map, and fates. Out: a section whose values the page holds as text, and the
scripts that draw them.
"""
