"""The tested versions are among those that the package asks for."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PACKAGE = Path(__file__).parents[1]
PROJECT = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = PACKAGE.parents[1]
CONSTRAINTS = (
    "constraints.txt",
    *(f"constraints-{n}.txt" for n in ("lowest", "newest", "cellrank")),
)
LINES = [*PROJECT["dependencies"], *chain(*PROJECT["optional-dependencies"].values())]


def pinned(file: str) -> dict[str, str]:
    """Package -> its version, for this Python."""
    path = REPOSITORY / file
    if not path.is_file():
        pytest.skip(f"the repository's {file}")
    lines = path.read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one in wanted
        if one.marker is None or one.marker.evaluate()
    }


@pytest.mark.parametrize("file", CONSTRAINTS)
def test_constraints_meet_the_requirements(file: str) -> None:
    tested = pinned(file)
    unmet = [
        f"{one} but {tested[name]} is tested"
        for one in map(Requirement, LINES)
        if (name := canonicalize_name(one.name)) in tested
        and (one.marker is None or one.marker.evaluate({"extra": ""}))
        and not one.specifier.contains(tested[name])
    ]
    assert unmet == []
    assert {"pynndescent", "torch"} <= tested.keys()


def test_the_lowest_constraints_are_the_lowest_that_are_asked_for() -> None:
    """But of PyTorch, of which a CPU build is not on hand for every version."""
    tested = pinned("constraints-lowest.txt")
    for one in map(Requirement, PROJECT["dependencies"]):
        (floor,) = (Version(some.version) for some in one.specifier if some.operator == ">=")
        assert one.name == "torch" or Version(tested[canonicalize_name(one.name)]) == floor, one


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
    required = {canonicalize_name(Requirement(line).name) for line in LINES}
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
