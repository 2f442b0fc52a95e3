"""`import bionemo.geneformer_t as gft` is light, and offers the public names."""

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.lazy_names import import_when_used
from bionemo.geneformer_t.ragged import Ragged

HEAVY = ("anndata", "lightning", "matplotlib", "numpy", "pandas", "scanpy", "torch", "transformers")


def run(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.split()


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, bionemo.geneformer_t as gft; dir(gft); print(*sys.modules)"
    assert not set(HEAVY) & set(run(code))


@pytest.mark.parametrize("name", gft.__all__)
def test_every_public_name_is_found_and_completed(name: str) -> None:
    assert name in dir(gft)
    value = getattr(gft, name)
    assert inspect.getdoc(value)
    assert getattr(gft, name) is value


def test_a_public_name_is_never_that_of_another_module() -> None:
    """`import bionemo.geneformer_t.prepare` sets the attribute `prepare` to the package."""
    folder = Path(gft.__file__).parent
    modules = {path.stem for path in folder.iterdir() if not path.name.startswith("_")}
    assert set(gft.__all__) & modules == {"pl", "pp", "tl"}
    prepare = import_module("bionemo.geneformer_t.prepare")
    assert gft.prepare is prepare
    assert gft.prepare_data is import_module("bionemo.geneformer_t.run.prepare").prepare


def test_editors_see_the_same_names() -> None:
    tree = ast.parse(inspect.getsource(gft))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {}
    for statement in block.body:
        assert isinstance(statement, ast.ImportFrom)
        for alias in statement.names:
            home = (statement.module or "").removeprefix("bionemo.geneformer_t").removeprefix(".")
            seen[alias.asname or alias.name] = (home or alias.name, alias.name if home else None)
    assert seen == gft._HOME
    assert sorted(gft.__all__) == gft.__all__ == sorted(gft._HOME)


@pytest.mark.parametrize("module", ["bionemo.geneformer_t", "bionemo.geneformer_t.tl"])
def test_an_unknown_name_is_an_attribute_error(module) -> None:
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute 'nothing'"):
        import_module(module).nothing  # noqa: B018 - the access is what fails


def test_a_name_is_imported_once_and_kept(monkeypatch) -> None:
    offering = ModuleType("offering")
    monkeypatch.setitem(sys.modules, "offering", offering)
    look_up = import_when_used("offering", {"of": ("ragged", "Ragged"), "ragged": ("ragged", None)})
    assert look_up("of") is offering.of is Ragged
    assert look_up("ragged").Ragged is Ragged
    assert set(vars(offering)) >= {"of", "ragged"}
