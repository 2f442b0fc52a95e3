"""Pretrained weights as a value: sizes, tensors under our names, and the token of every row.

They come from a folder in Hugging Face's layout (Geneformer V1 and V2, exports of this package or
of the BioNeMo recipes), from the hub, or from a checkpoint of a training run of this package. What
is read here is checked against itself; `transfer_vocabulary` fits it to a vocabulary.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import Tensor

from bionemo.geneformer_t.config import BioBertConfig
from bionemo.geneformer_t.dictionaries import read_dictionary
from bionemo.geneformer_t.model.network import NextCellBert
from bionemo.geneformer_t.model.weight_checks import (
    HYPER_PARAMETERS,
    NET,
    WEIGHTS,
    check_finite,
    check_held,
    check_sizes,
    is_absurd,
    naming,
)
from bionemo.geneformer_t.model.weights.hub import locate
from bionemo.geneformer_t.model.weights.huggingface import OURS, config_to_ours, state_to_ours
from bionemo.geneformer_t.model.weights.lora import merge_adapters
from bionemo.geneformer_t.safe_files import load_plain, read_config_json, read_tensors
from bionemo.geneformer_t.vocab import SPECIAL_TOKENS, GeneVocab, read_medians, read_tokens

CHECKPOINT_KEY = "geneformer_t"
"""The entry of a Lightning checkpoint that holds what this package knows of it."""
WORDS = "bert.embeddings.word_embeddings.weight"
DECODER = "cls.predictions.decoder.weight"
BIAS = "cls.predictions.decoder.bias"
HEAD = "cls."
RANK_BIAS = ("cls.predictions.rank_bias.start", "cls.predictions.rank_bias.change")
"""Of models with `rank_knots`."""

VOCAB_FILES = ("geneformer.vocab", "token_dictionary*.json", "token_dictionary*.pkl")
MEDIAN_FILES = ("medians.json", "gene_median_dictionary*.json", "gene_median_dictionary*.pkl")
PUBLISHED = {
    25_426: "Geneformer V1's (geneformer-gc30M)",
    20_275: "Geneformer V2's (geneformer-gc95M)",
}
"""Whose vocabulary a number of tokens is."""
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A checkpoint that was read and agrees with itself."""

    source: str
    """Where it came from, as the user named it."""
    config: BioBertConfig
    state: Mapping[str, Tensor] = field(repr=False)
    """Tensors under our names; without the vocabulary head when the file holds none."""
    tokens: tuple[str, ...] = field(repr=False)
    """The token of each row of the embedding table."""
    medians: Mapping[str, float] | None = field(default=None, repr=False)
    """The medians that it was trained with, if they are beside it."""
    gene_to_ens: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Symbols of its genes, if they are beside it."""
    knows_next_cells: bool = False
    """Whether it was trained on next cells, so that token type 1 means one."""

    @property
    def has_head(self) -> bool:
        """Whether it brings a vocabulary head."""
        return any(name.startswith(HEAD) for name in self.state)

    def own_vocab(self) -> GeneVocab:
        """Its own vocabulary, special tokens that it lacks added at the end.

        Raises:
            ValueError: Its medians are not known.
        """
        if self.medians is None:
            raise ValueError(
                f"pretrained: {self.source} brings no gene medians (looked for "
                f"{', '.join(MEDIAN_FILES)}), without which no cell can be ranked; give vocab=..., "
                "the vocabulary of your data"
            )
        added = (token for token in SPECIAL_TOKENS if token not in self.tokens)
        return GeneVocab(
            tokens=(*self.tokens, *added), medians=self.medians, gene_to_ens=self.gene_to_ens
        )


def read_pretrained(
    source: str | Path,
    vocab_file: Path | str | None = None,
    medians_file: Path | str | None = None,
) -> Pretrained:
    """Read a checkpoint from a local path or from the hub.

    Args:
        source: A folder with `config.json` and `model.safetensors`, a `.ckpt` file of a training
            run, or a repository of the hub; see `locate`.
        vocab_file: The token dictionary of the weights, if none is beside them.
        medians_file: The gene medians that they were trained with, if none are beside them.

    Raises:
        FileNotFoundError: The checkpoint or a file of it is missing.
        ValueError: It is damaged, of another architecture, or does not agree with itself.
    """
    path, root = locate(source)
    if path.is_file():
        found = _from_lightning(path, str(source))
    else:
        found = _from_folder(path, root, str(source), vocab_file)
        if medians_file is not None:
            found = replace(found, medians=read_medians(Path(medians_file)))
    with naming(f"pretrained: {found.source}"):
        check_held(found.state)
        _check_sizes(found)
        check_finite(found.state)
    return found


def _from_lightning(path: Path, source: str) -> Pretrained:
    checkpoint = load_plain(path, verify=is_zipfile(path))
    entry = checkpoint.get(CHECKPOINT_KEY) if isinstance(checkpoint, dict) else None
    if entry is None or entry.get("vocab") is None:
        raise ValueError(
            f"pretrained: {path} is no checkpoint of a training run of this package (it lacks the "
            f"entry {CHECKPOINT_KEY!r}, or a vocabulary in it); for a checkpoint in Hugging Face's "
            "layout give its folder"
        )
    vocab = GeneVocab.from_dict(entry["vocab"])
    config = BioBertConfig.from_dict(checkpoint[HYPER_PARAMETERS]["config"])
    weights = checkpoint[WEIGHTS]
    if entry.get("lora_scale"):
        weights = merge_adapters(weights, entry["lora_scale"])
    state = {
        name.removeprefix(NET): tensor
        for name, tensor in weights.items()
        if name.startswith(NET) and not name.endswith(DECODER)
    }
    for name in {WORDS, BIAS, *RANK_BIAS} & state.keys():
        state[name] = state[name][: len(vocab)]  # rows beyond the vocabulary mean nothing
    settings = entry.get("pair_settings") or {}
    return Pretrained(
        source=source,
        config=replace(config, vocab_size=len(vocab)),
        state=state,
        tokens=vocab.tokens,
        medians=vocab.medians,
        gene_to_ens=vocab.gene_to_ens,
        knows_next_cells=settings.get("objective", "next_cell") == "next_cell",
    )


def _from_folder(
    folder: Path, root: Path, source: str, vocab_file: Path | str | None
) -> Pretrained:
    values = read_config_json(folder)
    try:
        config = config_to_ours(values)
        state = state_to_ours(read_tensors(folder), config.num_attention_heads)
    except ValueError as error:
        raise ValueError(f"pretrained: {source}: {error}") from error
    tokens, symbols = _tokens(folder, root, config.vocab_size, vocab_file)
    return Pretrained(
        source=source,
        config=config,
        state=state,
        tokens=tokens,
        medians=_medians(folder, root, tokens),
        gene_to_ens=symbols,
        knows_next_cells=values.get(OURS, {}).get("objective") == "next_cell",
    )


def _tokens(
    folder: Path, root: Path, rows: int, vocab_file: Path | str | None
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The token of each row, from the file given or the one beside the weights that fits."""
    files = [Path(vocab_file)] if vocab_file else list(_beside(folder, root, VOCAB_FILES))
    if not files:
        raise FileNotFoundError(
            f"pretrained: {folder} does not say which gene each row of the weights is: it holds "
            f"none of {', '.join(VOCAB_FILES)}. Give the token dictionary that the weights were "
            f"trained with as pretrained_vocab; for {rows:,} tokens that is "
            f"{PUBLISHED.get(rows, 'none of the published ones')}"
        )
    lengths = {}
    for file in files:
        tokens, symbols = read_tokens(file)
        if len(tokens) == rows:
            return tokens, symbols
        lengths[file] = len(tokens)
    found = "; ".join(f"{file} has {_whose(number)}" for file, number in lengths.items())
    raise ValueError(
        f"pretrained: the weights in {folder} have {_whose(rows)}, but {found}. Rows would stand "
        "for other genes; give the token dictionary of these weights as pretrained_vocab"
    )


def _whose(number: int) -> str:
    return f"{number:,} tokens" + (f", {PUBLISHED[number]}" if number in PUBLISHED else "")


def _medians(folder: Path, root: Path, tokens: tuple[str, ...]) -> Mapping[str, float] | None:
    """The medians beside the weights that know every gene; None if there are none."""
    genes = set(tokens) - set(SPECIAL_TOKENS)
    for file in _beside(folder, root, MEDIAN_FILES):
        medians: dict[str, Any] = read_dictionary(file)
        if genes <= set(medians):
            return medians
    return None


def _beside(folder: Path, root: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    """Files in the checkpoint's folder, then anywhere in the repository that it came from."""
    for pattern in patterns:
        yield from sorted(folder.glob(pattern))
    if root != folder:
        for pattern in patterns:
            yield from sorted(root.rglob(pattern))


def _check_sizes(pretrained: Pretrained) -> None:
    """Refuse tensors that `config.json` describes otherwise.

    Raises:
        ValueError: Names the first tensors that are missing, too many or of another shape.
    """
    if is_absurd(pretrained.config, pretrained.state):
        check_sizes(pretrained.config, pretrained.state)
    with torch.device("meta"):
        expected = NextCellBert(pretrained.config).state_dict()
    shapes = {
        name: tensor.shape
        for name, tensor in expected.items()
        if name != DECODER and (pretrained.has_head or not name.startswith(HEAD))
    }
    found = {name: tensor.shape for name, tensor in pretrained.state.items()}
    wrong = [
        f"{name} is {_shape(found.get(name))} and should be {_shape(shapes.get(name))}"
        for name in sorted(shapes.keys() | found.keys())
        if found.get(name) != shapes.get(name)
    ]
    if wrong:
        more = f", and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise ValueError(
            f"pretrained: the weights of {pretrained.source} do not have the sizes that its "
            f"configuration gives: {'; '.join(wrong[:_SHOWN])}{more}"
        )


def _shape(shape: torch.Size | None) -> str:
    return "absent" if shape is None else " x ".join(map(str, shape))
