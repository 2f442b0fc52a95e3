"""`geneformer-t fates`: where each cell of an .h5ad goes, by a transition matrix that it holds."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.fates.terminal_settings import FATES, TerminalSettings
from bionemo.geneformer_t.model.transition_settings import KEY
from bionemo.geneformer_t.run.command import command, main

if TYPE_CHECKING:
    import pandas as pd

    from bionemo.geneformer_t.fates.fate_probabilities import Fates
    from bionemo.geneformer_t.fates.find_fates import Chain


@dataclass(frozen=True, kw_only=True)
class FatesSettings(TerminalSettings):
    """Which cells are terminal, in which file.

    Raises:
        ValueError: The output is no .h5ad, or a number is out of range.
    """

    input: Path
    """An .h5ad with transition probabilities in obsp, as geneformer-t transitions writes it."""
    output: Path
    """The .h5ad to write: a copy of the input with fates in obsm, obs and uns. It can be the input
    file itself."""
    terminal: tuple[str, ...] | None = None
    """Names of the terminal clusters of cluster_key. By default the clusters of the last time point
    if time_key is given, else what the chain itself shows: its closed classes, or the clusters that
    gain cells and keep their own."""
    transitions_key: str = KEY
    """The transition matrix in obsp: cells x cells, current cells in rows, which sum to 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output.suffix != ".h5ad":
            raise ValueError(f"output must end in .h5ad; got {self.output}")


@command(FatesSettings)
def fates(settings: FatesSettings) -> Path:
    """Write the probability of each fate for every cell, and the expected number of steps to it.

    The chain's structure is checked and printed before anything is solved: closed classes, cells
    that reach no terminal state, which get no fate, and terminal states that no other cell reaches.
    Only obs and the matrix are read; everything else is copied as it is stored.
    """
    from bionemo.geneformer_t.fates.find_fates import (
        choice_of,
        choose_states,
        find_fates,
        summary,
    )
    from bionemo.geneformer_t.files import require_writable
    from bionemo.geneformer_t.progress import Progress

    require_writable(settings.output)
    if not settings.input.is_file():
        raise FileNotFoundError(f"input: expected an .h5ad file at {settings.input}; there is none")
    chain, model = _chain(settings)
    for sentence in chain.structure.sentences(chain.label_texts):
        print(sentence)
    choice = choice_of(settings.terminal, settings)
    states = choose_states(chain, choice, settings.terminal, settings)
    print(states)
    with Progress("fates", len(states.names) + 1, "fate") as bar:
        found = find_fates(chain, states, bar.update)
    params = {
        name: getattr(settings, name)
        for name in ("cluster_key", "time_key", "time_order", "min_cells", "horizon")
    }
    params |= {"transitions_key": settings.transitions_key, "choice": choice}
    _write(found, summary(found, chain, params, model), chain.obs, settings)
    print(_table(found))
    for note in found.notes:
        print(f"note: {note}")
    print(settings.output)
    return settings.output


def _chain(settings: FatesSettings) -> "tuple[Chain, str]":
    """The transitions, and the fingerprint of the model that they are by, if they say it."""
    from anndata.io import read_elem

    from bionemo.geneformer_t.counts.data_frames import read_frame, read_index_name
    from bionemo.geneformer_t.counts.hdf5 import open_hdf5
    from bionemo.geneformer_t.fates.find_fates import made_by, make_chain, stored_transitions

    with open_hdf5(settings.input) as file:
        obs = read_frame(file, "obs", str(settings.input))
        obs.index.name = read_index_name(file, "obs")
        key, uns = settings.transitions_key, file.get("uns", {})
        how = {key: read_elem(uns[key])} if key in uns else {}
        matrix = read_elem(stored_transitions(file.get("obsp", {}), key, how))
    chain = make_chain(matrix, obs, settings.transitions_key, settings.cluster_key)
    return chain, made_by(how.get(key))


def _write(
    found: "Fates", how: dict[str, Any], given: "pd.DataFrame", settings: FatesSettings
) -> None:
    from anndata.io import write_elem

    from bionemo.geneformer_t.counts.update_h5ad import add_value, updated_copy
    from bionemo.geneformer_t.fates.find_fates import columns_of_obs, fate_table

    obs = given.assign(**columns_of_obs(found))
    replaced = {"obsm": (FATES,), "uns": (FATES,)}
    with updated_copy(settings.input, settings.output, replaced) as file:
        write_elem(file, "obs", obs)
        add_value(file, "obsm", FATES, fate_table(found, obs.index))
        add_value(file, "uns", FATES, how)


def _table(found: "Fates") -> str:
    import numpy as np

    from bionemo.geneformer_t.table import Table, number

    others = ~found.states.is_terminal & np.isfinite(found.steps)
    chances = found.probabilities[others]
    best = np.bincount(chances.argmax(axis=1), minlength=len(found.names))
    rows = [
        (name, f"{found.states.sizes[at]:,}", f"{best[at]:,}", number(float(chances[:, at].mean())))
        for at, name in enumerate(found.names)
    ]
    head = [
        ["fate", "terminal cells", "most probable for", "mean probability"],
        ["", "", "other cells", "of other cells"],
    ]
    steps = float(np.median(found.steps[others]))
    return (
        f"{Table(rows=rows, head=head).text()}\n"
        f"{int(others.sum()):,} cells take {steps:,.1f} steps to a terminal state at the median; "
        f"no probability is wrong by more than {found.solution.error:.0e}"
    )


if __name__ == "__main__":
    main(fates)
