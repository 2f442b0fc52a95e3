"""Fit pretrained weights to a vocabulary: rows are found by gene, never by position.

A row of the embedding table and a bias of the vocabulary head belong to a gene. Both are gathered
into the order of our vocabulary; what the weights never knew is initialised here and listed:

* tokens without a row start at the mean of the pretrained genes plus noise of `initializer_range`;
  a special token's bias is the lowest of the genes', since it is never the answer, and a new
  gene's bias is their mean;
* token type 1, which no plain Geneformer was trained with, starts as a copy of token type 0, so
  that a next cell's genes look at first like the masked genes of pretraining;
* positions that are asked for beyond the table start as copies of its last row;
* a vocabulary head that the file lacks is drawn afresh;
* a bias by rank that the weights lack starts at zero, and a new gene's at the genes' mean.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bionemo.geneformer_t.config import BioBertConfig, PositionScheme
from bionemo.geneformer_t.model.network import NextCellBert
from bionemo.geneformer_t.model.rank_bias import RankBias
from bionemo.geneformer_t.model.time_gap import TIME_GAP, TimeGapEmbedding
from bionemo.geneformer_t.model.weights.pretrained import (
    BIAS,
    DECODER,
    RANK_BIAS,
    WORDS,
    Pretrained,
)
from bionemo.geneformer_t.some_names import some_names
from bionemo.geneformer_t.vocab import SPECIAL_TOKENS, GeneVocab

POSITIONS = "bert.embeddings.position_embeddings.weight"
TOKEN_TYPES = "bert.embeddings.token_type_embeddings.weight"
NUM_TOKEN_TYPES = 2
TOKEN_TYPE_1 = "token type 1"
_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class StartReport:
    """What a model has from its pretrained weights, and what it has not."""

    source: str
    """Where the weights came from, as the user named it."""
    genes_pretrained: int
    """Genes of our vocabulary with a pretrained row."""
    genes_new: tuple[str, ...]
    """Genes of our vocabulary without one."""
    genes_unused: int
    """Genes of the pretrained weights that our vocabulary lacks."""
    initialised: tuple[str, ...]
    """Everything else that starts without pretraining: special tokens, token type 1, positions."""
    medians_other: int | None = None
    """Genes with a pretrained row whose median in our vocabulary is not the one that the weights
    were trained with; None where those are not known."""
    data_genes: int | None = None
    """Genes that the training cells express; None for a model that met no data yet."""
    data_genes_covered: int | None = None
    """Those of them with a pretrained row."""
    data_counts_covered: float | None = None
    """The fraction of the training cells' counts on genes with a pretrained row."""

    def __str__(self) -> str:
        new = some_names(self.genes_new, _SHOWN)
        return (
            f"started from {self.source}: {self.genes_pretrained:,} of "
            f"{self.genes_pretrained + len(self.genes_new):,} genes of the vocabulary have "
            f"pretrained rows; {len(self.genes_new):,} do not{f' ({new})' if new else ''}; "
            f"{self.genes_unused:,} pretrained genes are not used; initialised: "
            f"{', '.join(self.initialised) or 'nothing'}{self._of_medians()}{self._of_data()}"
        )

    def _of_medians(self) -> str:
        if not self.medians_other:
            return ""
        return (
            f"; the medians of {self.medians_other:,} pretrained genes differ from those that the "
            "weights were trained with, so cells rank their genes otherwise than in pretraining"
        )

    def _of_data(self) -> str:
        if self.data_genes is None:
            return ""
        return (
            f"; of the training cells, {self.data_genes_covered:,} of {self.data_genes:,} "
            f"expressed genes and {self.data_counts_covered:.1%} of the counts are covered"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints."""
        lists = {"genes_new": list(self.genes_new), "initialised": list(self.initialised)}
        return {**asdict(self), **lists}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "StartReport":
        """The inverse of `to_dict`."""
        lists = {name: tuple(values[name]) for name in ("genes_new", "initialised")}
        return cls(**{**values, **lists})


@dataclass(frozen=True, kw_only=True)
class Transferred:
    """What `transfer_vocabulary` makes: a model's sizes, its tensors, and what they are."""

    config: BioBertConfig
    state: Mapping[str, Tensor]
    """For `NextCellBert.load_state_dict`."""
    report: StartReport


def changed(
    config: BioBertConfig,
    position_scheme: PositionScheme | None = None,
    dropout_prob: float | None = None,
    num_positions: int | None = None,
    rank_knots: int | None = None,
) -> BioBertConfig:
    """The config of pretrained weights with what may differ from theirs; None keeps theirs."""
    if dropout_prob is not None:
        config = replace(
            config, hidden_dropout_prob=dropout_prob, attention_probs_dropout_prob=dropout_prob
        )
    return replace(
        config,
        position_scheme=position_scheme or config.position_scheme,
        max_position_embeddings=num_positions or config.max_position_embeddings,
        rank_knots=rank_knots or config.rank_knots,
    )


def transfer_vocabulary(
    pretrained: Pretrained, vocab: GeneVocab, config: BioBertConfig, seed: int
) -> Transferred:
    """Weights for a vocabulary and a config, from pretrained ones.

    Args:
        pretrained: What to start from.
        vocab: The order of the rows.
        config: That of the weights, as `changed` may have changed it.
        seed: Draws what is initialised.

    Raises:
        ValueError: No gene of the vocabulary has a pretrained row, or the position table is to be
            shorter than that of the weights.
    """
    generator = torch.Generator().manual_seed(seed)
    config = replace(config, vocab_size=len(vocab), type_vocab_size=NUM_TOKEN_TYPES)
    state = dict(pretrained.state)
    initialised = []
    if not pretrained.has_head:
        state |= _fresh_head(replace(config, vocab_size=len(pretrained.tokens)), seed)
        initialised.append("vocabulary head")
    rows = _rows(pretrained, vocab)
    state[WORDS] = _gather_words(state[WORDS], rows, pretrained, generator)
    state[BIAS] = _gather_biases(state[BIAS], rows, pretrained, vocab)
    state[DECODER] = state[WORDS]
    if config.rank_knots != pretrained.config.rank_knots:
        state |= _fresh_rank_bias(config)
        initialised.append("bias by rank")
    elif config.rank_knots:
        for name in RANK_BIAS:
            state[name] = _gather_rank_bias(state[name], rows, pretrained)
    state = {name: tensor for name, tensor in state.items() if not name.startswith(TIME_GAP)}
    if config.time_gaps:  # what it was scaled by need not be the time of these data
        fresh = TimeGapEmbedding(config).state_dict()
        state |= {f"{TIME_GAP}{name}": tensor for name, tensor in fresh.items()}
        initialised.append("time gap")
    initialised += [token for token in SPECIAL_TOKENS if rows[vocab.ids[token]] < 0]
    if len(state[TOKEN_TYPES]) < NUM_TOKEN_TYPES or not pretrained.knows_next_cells:
        state[TOKEN_TYPES] = state[TOKEN_TYPES][:1].repeat(NUM_TOKEN_TYPES, 1)
        initialised.append(TOKEN_TYPE_1)
    held, wanted = len(state[POSITIONS]), config.max_position_embeddings
    if wanted < held:
        raise ValueError(
            f"pretrained: {pretrained.source} has {held} positions; a table of {wanted} would cut "
            "it. Leave its length as it is: positions that are not used cost nothing"
        )
    if wanted > held:
        new = state[POSITIONS][-1:].repeat(wanted - held, 1)
        state[POSITIONS] = torch.cat([state[POSITIONS], new])
        initialised.append(f"positions {held} to {wanted - 1}")
    new_genes = tuple(gene for gene in vocab.genes if rows[vocab.ids[gene]] < 0)
    used = len(vocab.genes) - len(new_genes)
    report = StartReport(
        source=pretrained.source,
        genes_pretrained=used,
        genes_new=new_genes,
        genes_unused=len(_gene_rows(pretrained)) - used,
        initialised=tuple(initialised),
        medians_other=_other_medians(pretrained, vocab, new_genes),
    )
    return Transferred(config=config, state=state, report=report)


def _rows(pretrained: Pretrained, vocab: GeneVocab) -> Int[Tensor, " vocab"]:
    """The pretrained row of each of our tokens; -1 for none."""
    row_of = {token: row for row, token in enumerate(pretrained.tokens)}
    if not row_of.keys() & set(vocab.genes):
        theirs = [pretrained.tokens[int(row)] for row in _gene_rows(pretrained)[:3]]
        raise ValueError(
            f"pretrained: {pretrained.source} knows none of the {len(vocab.genes):,} genes of the "
            f"data's vocabulary; it names genes like {', '.join(theirs)}, the data like "
            f"{', '.join(vocab.genes[:3])}. Prepare the data with genes named as in the weights "
            "(`geneformer-t prepare --gene_names` maps symbols to Ensembl ids)"
        )
    return torch.tensor([row_of.get(token, -1) for token in vocab.tokens])


def _other_medians(
    pretrained: Pretrained, vocab: GeneVocab, new_genes: tuple[str, ...]
) -> int | None:
    """How many shared genes have another median, by more than a thousandth."""
    if pretrained.medians is None:
        return None
    shared = set(vocab.genes) - set(new_genes)
    return sum(
        not math.isclose(vocab.medians[gene], pretrained.medians[gene], rel_tol=1e-3)
        for gene in shared
        if gene in pretrained.medians
    )


def _gene_rows(pretrained: Pretrained) -> Int[Tensor, " gene"]:
    specials = set(SPECIAL_TOKENS)
    return torch.tensor([r for r, token in enumerate(pretrained.tokens) if token not in specials])


def _gather_words(
    words: Float[Tensor, "row hidden"],
    rows: Int[Tensor, " vocab"],
    pretrained: Pretrained,
    generator: torch.Generator,
) -> Float[Tensor, "vocab hidden"]:
    gathered = words[rows.clamp(min=0)]
    is_new = rows < 0
    noise = torch.randn(int(is_new.sum()), words.shape[1], generator=generator)
    mean = words[_gene_rows(pretrained)].mean(0)
    gathered[is_new] = mean + pretrained.config.initializer_range * noise
    return gathered


def _gather_biases(
    biases: Float[Tensor, " row"],
    rows: Int[Tensor, " vocab"],
    pretrained: Pretrained,
    vocab: GeneVocab,
) -> Float[Tensor, " vocab"]:
    of_genes = biases[_gene_rows(pretrained)]
    gathered = biases[rows.clamp(min=0)]
    gathered[rows < 0] = of_genes.mean()
    specials = torch.tensor(vocab.special_ids)
    gathered[specials[rows[specials] < 0]] = of_genes.min()
    return gathered


def _gather_rank_bias(
    logits: Float[Tensor, "row knot"], rows: Int[Tensor, " vocab"], pretrained: Pretrained
) -> Float[Tensor, "vocab knot"]:
    gathered = logits[rows.clamp(min=0)]
    gathered[rows < 0] = logits[_gene_rows(pretrained)].mean(0)
    return gathered


def _fresh_rank_bias(config: BioBertConfig) -> dict[str, Tensor]:
    bias = RankBias(config.vocab_size, config.rank_knots).state_dict()
    return {name: bias[name.rpartition(".")[2]] for name in RANK_BIAS}


def _fresh_head(config: BioBertConfig, seed: int) -> dict[str, Tensor]:
    """A vocabulary head drawn as for a new model, without touching the global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = NextCellBert(config).state_dict()
    return {n: t for n, t in state.items() if n.startswith("cls.") and n != DECODER}
