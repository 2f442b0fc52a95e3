"""Names that a module offers and imports when they are first used, so that it loads at once."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

Homes = Mapping[str, tuple[str, str | None]]
"""Public name -> the module that has it, within this package, and its name there; None for the
module itself."""


def import_when_used(module: str, homes: Homes) -> Callable[[str], Any]:
    """The function `__getattr__` of a module (PEP 562).

    Args:
        module: Full name of the module that offers the names.
        homes: Where they are.

    Returns:
        A function that imports a name, and keeps it in the module. It raises AttributeError for
        names that the module does not offer.
    """

    def look_up(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, attribute = homes[name]
        found = import_module(f"{__package__}.{home}")
        value = found if attribute is None else getattr(found, attribute)
        setattr(sys.modules[module], name, value)
        return value

    return look_up
