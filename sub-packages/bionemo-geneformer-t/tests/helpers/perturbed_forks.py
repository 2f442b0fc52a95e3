"""The cells of `two_forks` after a perturbation, and a model of their genes."""

import anndata
import numpy as np
import pandas as pd
import torch

from bionemo.geneformer_t.config import BioBertConfig, PairSettings
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.vocab import GeneVocab

SYMBOLS = ["Alp", "Bet", "Gam", "Alp+Bet"]
EFFECTS = {"A": [0.2, -0.1, 0.01, 0.02], "B": [-0.1, 0.1, 0.0, 0.0], "C": [-0.1, 0.0, -0.01, -0.02]}


def with_perturbation(cells: anndata.AnnData) -> anndata.AnnData:
    """Cells as gft.tl.perturb leaves them, with one control."""
    parts, clusters = [], []
    for fate, effects in EFFECTS.items():
        parts.append(
            pd.DataFrame(
                {
                    "readout": f"fate {fate}",
                    "target": ["w", "x", "y", "w+x"],
                    "symbol": SYMBOLS,
                    "edit": "delete",
                    "effect": effects,
                    "null_mean": 0.01,
                    "null_sd": 0.02,
                    "z": (np.array(effects) - 0.01) / 0.02,
                    "p_value": [0.001, 0.002, 0.9, np.nan],
                    "fdr": [0.003, 0.004, 0.95, np.nan],
                    "cells": 10,
                    "cells_without": 28,
                    "cells_unchanged": 2,
                    "ridge_effect": 0.15,
                    "correlation": 0.4,
                    "shuffled graph_effect": [0.03, 0.0, 0.01, 0.02],
                    "shuffled graph_z": [1.5, -0.5, 0.1, 0.2],
                    "shuffled graph_fdr": [0.4, 0.8, 0.9, 0.9],
                }
            )
        )
        clusters += [
            {"readout": f"fate {fate}", "symbol": symbol, "cluster": cluster, "cells": number,
             "effect": effect + add}
            for symbol, effect in zip(SYMBOLS, effects, strict=True)
            for cluster, add, number in (("stem", 0.0, 20), ("up", 0.1, 4))
        ]  # fmt: skip
        in_cells = pd.DataFrame(np.nan, index=cells.obs_names, columns=SYMBOLS)
        in_cells.iloc[:10] = effects
        cells.obsm[f"perturbation: fate {fate}"] = in_cells
    cells.uns["perturbation"] = pd.concat(parts, ignore_index=True)
    cells.uns["perturbation_by_cluster"] = pd.DataFrame(clusters)
    return cells


def small_model() -> NextCellModel:
    """Random weights, over the four genes, of which it reads three of a cell."""
    vocab = GeneVocab.of_genes(dict.fromkeys("wxyz", 1.0))
    torch.manual_seed(0)
    made = NextCellModel(
        BioBertConfig(
            vocab_size=len(vocab), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, max_position_embeddings=16,
        )
    )  # fmt: skip
    made.adopt(vocab, PairSettings(seq_length=9))
    return made.eval()
