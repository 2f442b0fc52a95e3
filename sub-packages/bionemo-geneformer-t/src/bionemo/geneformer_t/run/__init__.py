"""The commands: each module is one, `cli` gathers them."""
