"""docs/architecture.md names every package, and only files that exist."""

import re
from pathlib import Path

import bionemo.geneformer_t

PACKAGE = Path(bionemo.geneformer_t.__file__).parent
TEXT = (Path(__file__).resolve().parents[3] / "docs" / "architecture.md").read_text("utf-8")
NAMES = re.findall(r"`([\w/.]+)`", TEXT)


def test_every_file_that_the_page_names_exists() -> None:
    files = {name for name in NAMES if name.endswith((".py", "/")) and not name.startswith("tests")}
    found = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*")}
    tails = found | {Path(path).name for path in found}
    assert {name for name in files if name.rstrip("/") not in tails} == set()


def test_every_package_and_module_has_its_place_on_the_page() -> None:
    modules = {
        path.stem for path in PACKAGE.iterdir() if not path.name.startswith(("_", "py.typed"))
    }
    assert modules <= {name.rstrip("/") for name in NAMES}
