"""A model as the files that other tools read: Hugging Face's, and Geneformer's dictionaries.

Weights keep their bits. Rows of the embedding table beyond the vocabulary mean nothing and are left
out, so that the vocabulary has a token for each row. Where the model has a bias by rank, the bias
of the head takes up what is constant in it (`exported_network`), and the head's own bias goes along
under a name of ours.
"""

import json
import pickle
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

import bionemo.geneformer_t as package
from bionemo.geneformer_t.data.folder import MEDIANS, VOCAB
from bionemo.geneformer_t.inference.cell_framing import reading_of, untrained_tokens
from bionemo.geneformer_t.inference.exported_network import folded_bias
from bionemo.geneformer_t.model.isolation import ISOLATION_RULE_VERSION
from bionemo.geneformer_t.model.next_cell_model import NextCellModel, settings_of
from bionemo.geneformer_t.model.weights.huggingface import (
    OURS,
    OWN_BIAS,
    config_to_theirs,
    state_to_theirs,
)
from bionemo.geneformer_t.model.weights.pretrained import BIAS, RANK_BIAS, WORDS
from bionemo.geneformer_t.model.weights.vocabulary_transfer import TOKEN_TYPE_1
from bionemo.geneformer_t.safe_files import CONFIG_JSON, SAFETENSORS
from bionemo.geneformer_t.vocab import CLS, MASK, PAD, SEP, GeneVocab

TOKENS = "token_dictionary.pkl"
GENE_MEDIANS = "gene_median_dictionary.pkl"
GENE_NAMES = "gene_name_id_dict.pkl"
MAPPING = "ensembl_mapping_dict.pkl"
"""The vocabulary in the layout of Geneformer's own dictionaries."""

THEIR_SPECIALS = {PAD: "<pad>", MASK: "<mask>", CLS: "<cls>", SEP: "<eos>"}
"""Our special tokens and Geneformer's names for them."""


def write_model(model: NextCellModel, folder: Path) -> None:
    """Write everything but the model card into a folder.

    Raises:
        ValueError: The model has no vocabulary.
    """
    from safetensors.torch import save_file

    vocab = model.required_vocab()
    config = json.dumps(config_values(model), indent=2)
    (folder / CONFIG_JSON).write_text(config + "\n", encoding="utf-8")
    save_file(tensors(model), folder / SAFETENSORS, metadata={"format": "pt"})
    (folder / SAFETENSORS).chmod(0o644)  # it is written for its owner alone
    vocab.write(folder / VOCAB, folder / MEDIANS)
    for name, values in dictionaries(vocab, untrained_tokens(model)).items():
        with (folder / name).open("wb") as file:
            pickle.dump(values, file, protocol=4)


def config_values(model: NextCellModel) -> dict[str, Any]:
    """What `config.json` holds: Hugging Face's sizes, and what only this package knows."""
    vocab, settings = model.required_vocab(), settings_of(model)
    values = config_to_theirs(
        replace(model.config, vocab_size=len(vocab)),
        objective=objective_of(model),
        pad_token_id=vocab.ids[PAD],
    )
    values["dtype"] = "float32"
    values[OURS] |= {
        "version": package.__version__,
        "isolation_rule": ISOLATION_RULE_VERSION,
        "genes_per_cell": reading_of(model).genes_per_cell,
        "normalize_gene_expression": settings.normalize_gene_expression,
        "target_sum": settings.target_sum,
        "vocabulary": vocab.fingerprint,
    }
    return values


def tensors(model: NextCellModel) -> dict[str, Tensor]:
    """The weights under Hugging Face's names, each stored once, cut to the vocabulary."""
    size, state = len(model.required_vocab()), dict(model.net.state_dict())
    for name in {WORDS, BIAS, *RANK_BIAS} & state.keys():
        state[name] = state[name][:size]
    theirs = state_to_theirs(state)
    if model.net.cls.predictions.rank_bias is not None:
        theirs[OWN_BIAS] = state[BIAS]
        theirs["cls.predictions.bias"] = folded_bias(model)[:size]
    return {
        name: tensor.detach().cpu().float().contiguous().clone() for name, tensor in theirs.items()
    }


def left_out(model: NextCellModel) -> list[str]:
    """What the model predicts genes with and `BertForMaskedLM` does not.

    Canonical axes are none of it: they score whole cells, or tell a memory where to search.
    """
    found = []
    if model.config.rank_knots:
        found.append("changes of the bias from rank to rank")
    if model.config.time_gaps:
        found.append("the time gap")
    if model.memory is not None:
        found.append("memory of training cells")
    return found


def dictionaries(vocab: GeneVocab, untrained: Collection[str] = ()) -> dict[str, Mapping[str, Any]]:
    """Geneformer's dictionaries by file name.

    Geneformer's tools take cells to be framed as soon as a dictionary lists `<cls>` and `<eos>`,
    and leave the first and last token out of means. Tokens that the model never learned therefore
    keep our names. The mapping leads from every name of a gene, in capitals, to its token, as
    Geneformer's tokeniser looks it up.

    Args:
        vocab: Tokens, medians and symbols.
        untrained: Special tokens that mean nothing to the model.
    """
    theirs = {ours: name for ours, name in THEIR_SPECIALS.items() if ours not in untrained}
    symbols = {s: gene for s, gene in vocab.gene_to_ens.items() if gene in vocab.ids}
    return {
        TOKENS: {theirs.get(token, token): i for i, token in enumerate(vocab.tokens)},
        GENE_MEDIANS: {gene: float(vocab.medians[gene]) for gene in vocab.genes},
        GENE_NAMES: symbols,
        MAPPING: {
            **{symbol.upper(): gene for symbol, gene in symbols.items()},
            **{gene.upper(): gene for gene in vocab.genes},
        },
    }


def objective_of(model: NextCellModel) -> str:
    """What the weights were trained to do; it says whether token type 1 means a next cell."""
    if model.pair_settings is not None:
        return model.pair_settings.objective
    if model.start is not None and TOKEN_TYPE_1 in model.start.initialised:
        return "mlm"
    return "next_cell"
