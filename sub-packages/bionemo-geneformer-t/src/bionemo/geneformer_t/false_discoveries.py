"""When a gene counts as found, for every test of genes: drivers of fates and effects of edits."""

FDR = 0.05
"""False discovery rate (q-value) below which a gene counts as found."""
AT_FDR = f"q < {FDR:g}"
"""The same in words, for every text that counts genes that were found."""
