"""The tested versions are among those that the package asks for."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGE = Path(__file__).parents[1]
PROJECT = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONSTRAINTS = PACKAGE.parents[1] / "constraints.txt"


@pytest.mark.skipif(not CONSTRAINTS.is_file(), reason="the repository's constraints.txt")
def test_constraints_meet_the_requirements() -> None:
    lines = re.findall(r"^([\w.-]+)==(\S+)", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)
    tested = {name.lower().replace("_", "-"): version for name, version in lines}
    extras = PROJECT["optional-dependencies"].values()
    named = map(
        Requirement, [*PROJECT["dependencies"], *(one for extra in extras for one in extra)]
    )
    unmet = [
        f"{one} but {tested[one.name.lower()]} is tested"
        for one in named
        if one.name.lower() in tested and not one.specifier.contains(tested[one.name.lower()])
    ]
    assert unmet == []
    assert "pynndescent" in tested


def test_scanpy_1_11_is_not_paired_with_a_pynndescent_that_it_cannot_use() -> None:
    """Its `pp.neighbors` fails from 8,192 cells on with pynndescent 0.7, whatever calls it."""
    (found,) = (
        one for one in map(Requirement, PROJECT["dependencies"]) if one.name == "pynndescent"
    )
    assert found.specifier.contains("0.6.0")
    assert not found.specifier.contains("0.7.0")


@pytest.mark.slow
def test_every_package_that_is_imported_is_asked_for() -> None:
    """Not only by the requirements of another one, which may drop it."""
    extras = PROJECT["optional-dependencies"].values()
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    required = {canonicalize_name(Requirement(line).name) for line in lines}
    providers = packages_distributions()
    unasked = {
        module
        for path in (PACKAGE / "src").rglob("*.py")
        for module in imported_by(path) - sys.stdlib_module_names
        if not {canonicalize_name(name) for name in providers.get(module, [module])} & required
    }
    assert unasked == set()


def imported_by(path: Path) -> set[str]:
    """The first part of the name of every module that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module.partition(".")[0])
    return names
