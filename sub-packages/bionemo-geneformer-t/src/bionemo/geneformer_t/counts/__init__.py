"""Raw counts of any file, block by block: formats in, one CountSource out."""
