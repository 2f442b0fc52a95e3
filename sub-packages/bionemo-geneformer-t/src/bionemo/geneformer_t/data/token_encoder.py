"""TokenEncoder: rows of any count matrix as ranked tokens, its genes looked up once."""

import logging

import numpy as np
from jaxtyping import Bool, Float, Int, Integer, Real
from numpy import ndarray

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.counts.features import SPIKE_IN, of_genome
from bionemo.geneformer_t.counts.gene_names import GeneNames
from bionemo.geneformer_t.counts.source import CountSource
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.rank_value import merge_tokens, rank_value_encode
from bionemo.geneformer_t.ragged import Ragged, offsets_of
from bionemo.geneformer_t.vocab import GeneVocab

logger = logging.getLogger(__name__)


NamesGenes = CellStore | CountSource
"""What has names of columns: a store on disk, or a matrix in blocks."""


class TokenEncoder:
    """Rank-value encoding for one set of columns.

    Columns are found in the vocabulary once, by gene name and otherwise by symbol; columns of the
    same gene have their counts summed.

    Raises:
        ValueError: The vocabulary knows none of the genes.
    """

    def __init__(
        self, columns: NamesGenes, where: str, vocab: GeneVocab, settings: PairSettings
    ) -> None:
        self.names = columns.genes
        self.token_of_column = tokens_of_columns(self.names, vocab)
        self.is_counted: Bool[ndarray, " column"] = counted_columns(
            self.names, self.token_of_column
        )
        """Which columns the total of a cell is made of."""
        known = self.token_of_column[self.token_of_column >= 0]
        num_merged = len(known) - len(np.unique(known))
        if not len(known):
            raise ValueError(
                f"the vocabulary knows none of the {len(self.token_of_column):,} genes of {where} "
                f"(such as {', '.join(self.names.names[:3])}); it names genes like "
                f"{', '.join(vocab.genes[:3])}. Use the vocabulary of the same species and the "
                "same kind of gene ids"
            )
        if num_merged:
            logger.info(
                "%d columns of %s name a gene that another column names too; counts are summed",
                num_merged, where,
            )  # fmt: skip
        self.merges = num_merged > 0
        """Whether several columns name one gene."""
        self._all_known = len(known) == len(self.token_of_column)
        self.median_of_id: Float[ndarray, " vocab"] = (
            vocab.median_of_id if settings.normalize_gene_expression else np.ones(len(vocab))
        )
        """What the counts of each token are divided by."""

    @property
    def is_known(self) -> Bool[ndarray, " column"]:
        """Which columns the vocabulary knows."""
        return self.token_of_column >= 0

    def encode(
        self,
        counts: Real[ndarray, " value"],
        columns: Integer[ndarray, " value"],
        lengths: Int[ndarray, " cell"],
    ) -> Ragged:
        """The known genes of concatenated cells, highest rank value first in each."""
        tokens = self.token_of_column[columns]
        if not self._all_known:
            known = tokens >= 0
            cell_of_value = np.repeat(np.arange(len(lengths)), lengths)
            lengths = np.bincount(cell_of_value[known], minlength=len(lengths))
            counts, tokens = counts[known], tokens[known]
        if self.merges:
            counts, tokens, lengths = merge_tokens(counts, tokens, lengths)
        tokens = rank_value_encode(counts, tokens, self.median_of_id[tokens], lengths)
        return Ragged(values=tokens, offsets=offsets_of(lengths))


def tokens_of_columns(genes: GeneNames, vocab: GeneVocab) -> Int[ndarray, " column"]:
    """The token of each column, by name and otherwise by symbol; -1 where there is none.

    None have features that are no genes, and genes of a genome that the vocabulary hardly knows,
    whatever they are called: antibodies have the names of genes, and so do genes of other species.
    Spike-ins are found where the model was trained on them.
    """
    by_name = vocab.encode(genes.names)
    tokens = np.where(by_name >= 0, by_name, vocab.encode(genes.symbols))
    tokens[[reason not in {"", SPIKE_IN} for reason in genes.left_out]] = -1
    tokens[_is_foreign(genes, tokens)] = -1
    return tokens


def why_left_out(genes: GeneNames, tokens: Int[ndarray, " column"]) -> list[str]:
    """Why a column does not count in the total of a cell; empty where it does, known or not.

    Args:
        genes: The columns.
        tokens: The token of each.
    """
    foreign = _is_foreign(genes, tokens)
    return [
        "" if token >= 0 else reason or (of_genome(genome) if elsewhere else "")
        for token, reason, genome, elsewhere in zip(
            tokens.tolist(), genes.left_out, genes.genomes, foreign.tolist(), strict=True
        )
    ]


def counted_columns(genes: GeneNames, tokens: Int[ndarray, " column"]) -> Bool[ndarray, " column"]:
    """Which columns count in the total of a cell."""
    return np.array([not reason for reason in why_left_out(genes, tokens)], dtype=bool)


def _is_foreign(genes: GeneNames, tokens: Int[ndarray, " column"]) -> Bool[ndarray, " column"]:
    """Genes of a genome that the vocabulary knows less than a tenth as well as the best one."""
    genomes = np.array(genes.genomes, dtype=object)
    known = {name: float((tokens[genomes == name] >= 0).mean()) for name in {*genomes} - {""}}
    foreign = [name for name, fraction in known.items() if fraction < max(known.values()) / 10]
    return np.isin(genomes.astype(str), foreign)
