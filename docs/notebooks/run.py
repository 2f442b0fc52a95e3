"""Executes notebooks and keeps their outputs, without what only this run or computer knows.

    python docs/notebooks/run.py docs/notebooks/*.ipynb

Real data are read from the folder in the environment variable GENEFORMER_T_DATA, or from
../shared/data beside the repository; without them, notebooks simulate cells, and say so.
"""

import argparse
import re
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

REPOSITORY = Path(__file__).resolve().parents[2]
MOST_BYTES = 1_500_000
"""Of a notebook with its outputs."""
_WARNING = re.compile(r"\S+\.py:\d+: \w*Warning: ")
"""How Python's warnings begin, which name files of this computer."""
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def executed(notebook: Any, folder: Path) -> Any:
    """The notebook with the outputs of a fresh kernel, which starts in a folder."""
    client = NotebookClient(
        notebook, timeout=3600, kernel_name="python3", record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )  # fmt: skip
    return cleaned(client.execute())


def cleaned(notebook: Any) -> Any:
    """Without progress bars, warnings, timings, and the version of Python."""
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        cell.outputs = [output for output in map(without_bars, cell.outputs) if output is not None]
    return notebook


def without_bars(output: Any) -> Any | None:
    """An output without lines that were drawn anew and warnings; None where nothing is left."""
    if output.output_type != "stream":
        return output
    lines = output.text.split("\n")
    is_kept = [not ("\r" in line or _WARNING.match(line)) for line in lines]
    for number, line in enumerate(lines):  # a warning shows its line of code
        if number and line.startswith("  ") and not is_kept[number - 1]:
            is_kept[number] = False
    output.text = "\n".join(line for line, kept in zip(lines, is_kept, strict=True) if kept)
    return output if output.text.strip() else None


def check(text: str, path: Path) -> None:
    """Refuse outputs that are large, or that name folders of this computer.

    Raises:
        ValueError: Says which.
    """
    if len(text) > MOST_BYTES:
        raise ValueError(f"{path} has {len(text):,} bytes; draw smaller pictures")
    found = re.search(r"(?<![\w+/])/(home|root|tmp|work|Users)/\S*", text)
    if found is not None:
        raise ValueError(f"{path} names a folder of this computer: {found[0]}")


def main() -> None:
    """Execute each notebook in place."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    for path in parser.parse_args().notebooks:
        notebook = executed(nbformat.read(path, as_version=4), REPOSITORY)
        text = nbformat.writes(notebook) + "\n"
        check(text, path)
        path.write_text(text, encoding="utf-8")
        print(path, f"{len(text):,} bytes")


if __name__ == "__main__":
    main()
