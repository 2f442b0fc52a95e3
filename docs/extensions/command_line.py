"""The directive `command-line`: a section for each command of `geneformer-t`, with its options.

It asks the parsers themselves, so that a new command or option is on the page.
"""

import argparse
import inspect
from collections.abc import Iterator
from importlib import import_module

from docutils import nodes
from options_as_code import options_as_code
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from bionemo.geneformer_t.run.arguments import make_parser
from bionemo.geneformer_t.run.cli import COMMANDS


class CommandLine(SphinxDirective):
    """Sections of all commands."""

    def run(self) -> list[nodes.Node]:
        """Write them as reStructuredText, and read that."""
        text = "\n".join(line for name in COMMANDS for line in section(name))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def section(name: str) -> Iterator[str]:
    """A heading, what the command does, and its options."""
    module, function_name, summary = COMMANDS[name]
    function = getattr(import_module(f"bionemo.geneformer_t.run.{module}"), function_name)
    described = options_as_code((inspect.getdoc(function) or "").partition("\n\nRaises:")[0])
    program = f"geneformer-t {name}"
    yield from ("", program, "-" * len(program), "", f"*{summary[0].upper()}{summary[1:]}.*", "")
    yield from (*described.splitlines(), "", f".. program:: {program}", "")
    for action in make_parser(function.settings_type, [], program, None)._actions:
        yield from option(action)


def option(action: argparse.Action) -> Iterator[str]:
    """An `option` directive with the help of an action."""
    if isinstance(action, argparse._HelpAction):
        return
    value = action.metavar or "{" + ",".join(map(str, action.choices or ())) + "}"
    name = f"{action.option_strings[0]} {value}" if action.option_strings else str(value)
    required = " (required)" if action.required and action.option_strings else ""
    text = options_as_code((action.help or "") % {})
    yield from (f".. option:: {name}", "", f"   {text}{required}", "")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True}
