"""The files of `geneformer-t perturb`, and whether they are there already.

A .csv has beside it a file `NAME.about.json`, which says what the effects are of, and for a screen
`NAME.estimates.csv` with the estimates of all genes; an .h5ad holds all of it. As with data
folders, the output of the same run is not computed again, and that of another is not overwritten.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.perturbation.perturb_settings import ALL

if TYPE_CHECKING:
    from bionemo.geneformer_t.model.next_cell_model import NextCellModel
    from bionemo.geneformer_t.perturbation.result import Perturbation
    from bionemo.geneformer_t.run.perturb import PerturbCommandSettings

RECORD = "run"
"""Entry of parameters that says which run has made the effects."""
_PATHS = ("checkpoint", "input", "output", "shuffled_checkpoint", "seed_checkpoints", "controls")
"""Settings that count by what they lead to."""


def about_path(output: Path) -> Path:
    """The file beside a .csv that says what its effects are of."""
    return output.with_suffix(".about.json")


def estimates_path(output: Path) -> Path:
    """The file beside a .csv with the estimates of a screen."""
    return output.with_suffix(".estimates.csv")


def paths_of(settings: "PerturbCommandSettings") -> list[Path]:
    """All files that are written in the end."""
    output = settings.output
    if output.suffix != ".csv":
        return [output]
    return [output, about_path(output), *([estimates_path(output)] if settings.screen else [])]


def record_of(
    settings: "PerturbCommandSettings",
    source: Path,
    models: "Mapping[str, NextCellModel]",
    seeds: "Sequence[NextCellModel]",
) -> str:
    """All that the output depends on, as text.

    Args:
        settings: Of the run.
        source: The file that is read.
        models: The model and the controls, by name.
        seeds: Models of other seeds.
    """
    from bionemo.geneformer_t import __version__
    from bionemo.geneformer_t.data.content_hash import path_digest
    from bionemo.geneformer_t.inference.model_fingerprint import model_fingerprint
    from bionemo.geneformer_t.perturbation.gene_targets import read_names

    given = {name: value for name, value in asdict(settings).items() if name not in _PATHS}
    given["genes"] = ALL if settings.genes == ALL else read_names(settings.genes)
    record = {
        "version": __version__,
        "settings": given,
        "input": path_digest(source),
        "models": {name: model_fingerprint(one) for name, one in models.items()},
        "seeds": [model_fingerprint(one) for one in seeds],
        "transitions": _fit_of(models),
    }
    return json.dumps(record, sort_keys=True)


def is_done(settings: "PerturbCommandSettings", record: str) -> bool:
    """Whether the output has the effects of this very run.

    Raises:
        FileExistsError: It has others, or is a .csv that is not of this command.
    """
    output = settings.output
    found = _csv_record(output) if output.suffix == ".csv" else _h5ad_record(settings)
    if found is None or found == record:
        return found is not None
    what = (
        "it is not known which run made it"
        if found == ""
        else "has effects of another run: with other settings, of another input, model or version"
    )
    other = "" if output.suffix == ".csv" else ", give another key_added"
    raise FileExistsError(
        f"output: {output} is there already, and {what}; it is kept. Name another output{other}, "
        "or remove this one"
    )


def write_output(
    found: "Perturbation",
    notes: Sequence[str],
    params: Mapping[str, Any],
    source: Path,
    settings: "PerturbCommandSettings",
) -> None:
    """Write all files, the one that was asked for at last.

    Args:
        found: What was found.
        notes: What there is to say about it.
        params: How it was made, beside what `found` says.
        source: The file that was read.
        settings: Of the run.
    """
    from bionemo.geneformer_t.files import write_text

    if settings.output.suffix != ".csv":
        _write_h5ad(found, notes, params, source, settings)
        return
    text = _csv(found.table)
    about = {
        "params": _plain({**found.params, **params}),
        "notes": list(notes),
        "verdict": found.sentences,
        "table": _digest(text.encode()),
    }
    if found.estimates is not None:
        write_text(estimates_path(settings.output), _csv(found.estimates))
    write_text(about_path(settings.output), json.dumps(about, indent=1))
    write_text(settings.output, text)


def about_csv(path: Path) -> Mapping[str, Any] | None:
    """What the file beside a .csv says of it; None where there is none, or the .csv has changed.

    Raises:
        ValueError: The file is damaged.
    """
    from bionemo.geneformer_t.dictionaries import read_json

    beside = about_path(path)
    if not beside.is_file():
        return None
    about = read_json(beside)
    if not isinstance(about, dict) or not isinstance(about.get("params"), dict):
        raise ValueError(f"{beside} is not what geneformer-t perturb writes beside a .csv")
    is_same = about.get("table") == _digest(path.read_bytes())
    return about if is_same else None


def _csv_record(output: Path) -> str | None:
    """The run of a .csv; empty where it is not known, None without one."""
    if not output.exists():
        return None
    about = about_csv(output)
    return "" if about is None else str(about["params"].get(RECORD, ""))


def _h5ad_record(settings: "PerturbCommandSettings") -> str | None:
    """The run of the effects in an .h5ad; empty where it is not known, None without effects."""
    from anndata.io import read_elem

    from bionemo.geneformer_t.counts.hdf5 import open_hdf5

    if not settings.output.is_file():
        return None
    key = settings.key_added
    with open_hdf5(settings.output) as file:
        uns = file.get("uns", {})
        if key not in uns:
            return None
        params = uns.get(f"{key}_params", {})
        return str(read_elem(params[RECORD])) if RECORD in params else ""


def _write_h5ad(
    found: "Perturbation",
    notes: Sequence[str],
    params: Mapping[str, Any],
    source: Path,
    settings: "PerturbCommandSettings",
) -> None:
    from bionemo.geneformer_t.counts.hdf5 import open_hdf5
    from bionemo.geneformer_t.counts.update_h5ad import add_value, updated_copy
    from bionemo.geneformer_t.perturbation.result import TABLES

    key = settings.key_added
    entries = found.entries(key, notes, params)
    with open_hdf5(source) as file:
        in_cells = [name for name in file.get("obsm", {}) if name.startswith(f"{key}: ")]
    replaced = {"uns": tuple(key + end for end in TABLES), "obsm": (*in_cells, *entries["obsm"])}
    with updated_copy(source, settings.output, replaced) as file:
        for group, held in entries.items():
            for name, value in held.items():
                add_value(file, group, name, value)


def _csv(table: Any) -> str:
    return str(table.to_csv(index=False, float_format="%.6g"))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _fit_of(models: "Mapping[str, NextCellModel]") -> dict[str, str]:
    """How transitions are made where the input does not say it."""
    found = {}
    for name, model in models.items():
        if (fit := model.transitions) is not None:
            references = fit.references.rows() if fit.references is not None else []
            held = fit.choice, [genes.tolist() for genes in references]
            found[name] = _digest(repr(held).encode())
    return found


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as JSON has them, which knows no arrays."""
    return {
        name: value.tolist() if hasattr(value, "tolist") else value
        for name, value in params.items()
    }
