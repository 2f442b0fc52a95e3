"""A chain of known fates: a stem forks into `up` and C, and `up` into A and B."""

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

LENGTHS = {"stem": 10, "up": 10, "A": 6, "B": 6, "C": 8}
STARTS = {"stem": (0, 0), "up": (10, 1), "A": (20, 2), "B": (20, 0), "C": (10, -1)}
STEPS = {"stem": (1, 0), "up": (1, 0.1), "A": (1, 0.5), "B": (1, -0.1), "C": (1, -0.5)}
FORKS = {"stem": {"up": 0.6, "C": 0.4}, "up": {"A": 0.5, "B": 0.5}}
FATES = pd.DataFrame(
    {"A": [0.3, 0.5, 1, 0, 0], "B": [0.3, 0.5, 0, 1, 0], "C": [0.4, 0, 0, 0, 1]}, index=[*LENGTHS]
)


def first_cell(branch: str) -> int:
    names = list(LENGTHS)
    return sum(LENGTHS[name] for name in names[: names.index(branch)])


def two_forks() -> anndata.AnnData:
    """Cells with fates, transitions, drivers and an embedding, as tl leaves them."""
    branch = np.repeat([*LENGTHS], [*LENGTHS.values()])
    size = len(branch)
    chain = np.zeros((size, size))
    for name, length in LENGTHS.items():
        first = first_cell(name)
        chain[range(first, first + length - 1), range(first + 1, first + length)] = 1
        last = first + length - 1
        for other, probability in FORKS.get(name, {name: 1.0}).items():
            chain[last, last if other == name else first_cell(other)] = probability
    places = np.concatenate(
        [
            np.array(STARTS[n]) + np.arange(length)[:, None] * np.array(STEPS[n])
            for n, length in LENGTHS.items()
        ]
    )
    counts = np.random.default_rng(0).poisson(5, (size, 4))
    counts[:, 0] = 1 + 40 * (branch == "A")
    cells = anndata.AnnData(
        sp.csr_matrix(counts.astype(np.float32)),
        obs=pd.DataFrame(
            {"cluster": pd.Categorical(branch, categories=[*LENGTHS])},
            index=[f"cell{i}" for i in range(size)],
        ),
        var=pd.DataFrame({"feature_name": ["Alp", "Bet", "Gam", "Del"]}, index=[*"wxyz"]),
    )
    fates = FATES.loc[branch].set_axis(cells.obs_names)
    cells.obs["time"] = np.arange(size, dtype=float)
    cells.obs["fate_entropy"] = -(fates * np.log(fates.clip(lower=1e-300))).sum(axis=1)
    ends = [first_cell(name) + LENGTHS[name] - 1 for name in "ABC"]
    terminal = np.full(size, None, dtype=object)
    terminal[ends] = [*"ABC"]
    cells.obs["terminal_state"] = pd.Categorical(terminal, categories=[*"ABC"])
    cells.obsm["X_umap"] = places
    cells.obsm["fates"] = fates
    cells.obsp["T_geneformer_t"] = sp.csr_matrix(chain)
    cells.uns["cluster_colors"] = ["#111111", "#222222", "#aa0000", "#00aa00", "#0000aa"]
    cells.uns["fate_drivers"] = pd.DataFrame(
        {
            "fate": np.repeat([*"ABC"], 4),
            "gene": [*"wxyz"] * 3,
            "symbol": ["Alp", "Bet", "Gam", ""] * 3,
            "effect": [0.9, -0.5, 0.1, -0.05] * 3,
            "p_value": [0.001, 0.001, 0.4, 0.9] * 3,
            "fdr": [0.002, 0.002, 0.6, 0.9] * 3,
            "cells": 20,
            "units": 20,
            "permutations": 999,
        }
    )
    return cells
