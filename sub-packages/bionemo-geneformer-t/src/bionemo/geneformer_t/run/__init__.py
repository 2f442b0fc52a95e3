"""The command line: one module for each command, and `cli` with the table of commands."""
