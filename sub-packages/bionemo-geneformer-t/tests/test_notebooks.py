"""The notebooks of docs/ run from top to bottom on simulated cells, and are kept as executed."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

NOTEBOOKS = Path(__file__).resolve().parents[3] / "docs" / "notebooks"
PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
SMALL = {
    'training = {"recipe": "auto"}': 'training = {"recipe": None, "hidden_size": 16, '
    '"num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "num_epochs": 1, '
    '"num_workers": 0}',
    "num_cells=300": "num_cells=200",
    # numba compiles for 16 seconds
    "sc.pp.neighbors(shown, n_neighbors=30)": "",
    "sc.tl.umap(shown, random_state=0)": 'shown.obsm["X_umap"] = shown.obsm["X_pca"][:, :2]',
    "gft.tl.evaluate(adata, model)": "gft.tl.evaluate(adata, model, max_cells=20)",
}

LANGUAGE = {"language_info": {"name": "python", "version": "3.11.4"}}

pytest.importorskip("nbclient", reason="needs the extra `dev`")
pytestmark = pytest.mark.skipif(not NOTEBOOKS.is_dir(), reason="the repository's docs/")


@pytest.fixture(scope="module")
def run() -> ModuleType:
    """The script that executes notebooks."""
    found = importlib.util.spec_from_file_location("run_notebooks", NOTEBOOKS / "run.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def read(path: Path) -> Any:
    import nbformat

    return nbformat.read(path, as_version=4)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_runs_on_simulated_cells(
    path: Path, run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENEFORMER_T_DATA", str(tmp_path / "nothing"))
    notebook = read(path)
    for cell in notebook.cells:
        cell.outputs = [] if cell.cell_type == "code" else cell.pop("outputs", [])
        for old, new in SMALL.items():
            cell.source = cell.source.replace(old, new)
    done = run.executed(notebook, tmp_path)
    outputs = [output for cell in code_cells(done) for output in cell.outputs]
    pictures = [one for one in outputs if "image/png" in one.get("data", {})]
    assert len(pictures) >= 4
    text = "".join(one.text for one in outputs if one.output_type == "stream")
    assert "The model" in text
    assert "%|" not in text


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_kept_notebook_was_executed_in_order_and_names_no_computer(
    path: Path, run: ModuleType
) -> None:
    run.check(path.read_text(encoding="utf-8"), path)
    notebook = read(path)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any("image/png" in out.get("data", {}) for cell in cells for out in cell.outputs)
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert kinds <= {"stream", "display_data", "execute_result"}
    assert notebook.metadata == {
        "kernelspec": run.KERNEL, "language_info": {"name": "python"},
    }  # fmt: skip
    assert all("execution" not in cell.metadata for cell in cells)


def test_bars_timings_and_versions_are_not_kept(run: ModuleType) -> None:
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    bars = (
        "a note\n\rchecking: 1 block\r            \r\n/x/auto.py:21: TqdmWarning: no\n  import it\n"
    )
    outputs = [
        new_output("stream", name="stderr", text=bars),
        new_output("stream", name="stderr", text="\r          \r"),
        new_output("stream", name="stdout", text="found\n"),
    ]
    cell = new_code_cell("1", outputs=outputs, metadata={"execution": {"iopub.status.busy": "now"}})
    notebook = run.cleaned(new_notebook(cells=[cell], metadata=LANGUAGE))
    (kept,) = notebook.cells
    assert [output.text for output in kept.outputs] == ["a note\n", "found\n"]
    assert kept.metadata == {}
    assert notebook.metadata["language_info"] == {"name": "python"}


def test_large_notebooks_and_folders_of_a_computer_are_refused(run: ModuleType) -> None:
    path = Path("some.ipynb")
    run.check("see https://example.org/tmp", path)
    with pytest.raises(ValueError, match=r"draw smaller pictures"):
        run.check("x" * (run.MOST_BYTES + 1), path)
    with pytest.raises(ValueError, match=r"names a folder of this computer: /tmp/geneformer_t_x"):
        run.check('"/tmp/geneformer_t_x"', path)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]
