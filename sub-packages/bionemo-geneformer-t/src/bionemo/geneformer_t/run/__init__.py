"""The command line, one file for each command.

In: options, a YAML file or keyword arguments, as a settings dataclass (`command.py`,
`arguments.py`). Out: files, and text on the terminal. `cli.py` has the table of commands.
"""
