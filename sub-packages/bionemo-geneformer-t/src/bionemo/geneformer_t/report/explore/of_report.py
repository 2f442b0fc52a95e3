"""What of a report can be explored: its split, with the genes that its other sections name."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest

import numpy as np

from bionemo.geneformer_t.evaluate.row_names import MODEL
from bionemo.geneformer_t.report.evaluated import Evaluated
from bionemo.geneformer_t.report.explore.explorable import Explorable
from bionemo.geneformer_t.report.fate_section import FateResults
from bionemo.geneformer_t.report.figures.volcano import drivers_of, order_of_drivers
from bionemo.geneformer_t.report.perturbation_section import PerturbationResults

_DRIVERS = 50
"""Driver genes of each fate that come first."""
_TARGETS = 200
"""Edited genes that come next, those with the smallest p-values."""


def explorable(
    evaluated: Evaluated,
    gene_names: Sequence[str],
    named: Sequence[int],
    time_labels: Mapping[float, str] | None,
    fates: FateResults | None,
    perturbation: PerturbationResults | None,
) -> Explorable:
    """The cells of the split that was scored.

    Args:
        evaluated: A checkpoint on a split.
        gene_names: What each token is called on the page.
        named: Tokens of the genes that the page follows along the trajectory.
        time_labels: What time points are called.
        fates: Of some cells.
        perturbation: Effects of edited genes.
    """
    dataset, pairs = evaluated.dataset, evaluated.pairs
    own = evaluated.evaluation.rows[MODEL].calibration
    uncertainty = np.full(len(dataset.tokens), np.nan)
    uncertainty[pairs.cells] = own.entropy
    token = dataset.vocab.ids
    others = (token[name] for name in named_by(fates, perturbation) if name in token)
    return Explorable(
        names=dataset.tokens.store.cell_ids,
        where=evaluated.where,
        arrows=evaluated.arrows,
        encode=dataset.tokens.encode,
        facts=evaluated.facts[evaluated.split],
        gene_ids=pairs.gene_ids,
        gene_names=gene_names,
        tokens=dataset.vocab.tokens,
        named=[*named, *others],
        fates=fates,
        time_labels=time_labels or {},
        uncertainty=uncertainty,
    )


def named_by(fates: FateResults | None, perturbation: PerturbationResults | None) -> Iterator[str]:
    """Ids of driver genes, the first of each fate first, and of edited genes by their p-values.

    Args:
        fates: With driver genes or without.
        perturbation: Effects of edited genes.
    """
    if fates is not None and fates.drivers is not None and len(fates.drivers):
        tables = [drivers_of(fates.drivers, name) for name in map(str, fates.fates.columns)]
        ordered = [
            table["gene"].astype(str).to_numpy()[order_of_drivers(table)[:_DRIVERS]]
            for table in tables
        ]
        for gene in chain.from_iterable(zip_longest(*ordered)):
            if gene is not None:
                yield str(gene)
    if perturbation is not None:
        table = perturbation.table
        size = -np.abs(table["z"].to_numpy(dtype=np.float64))
        order = np.lexsort((size, table["p_value"].to_numpy(dtype=np.float64)))
        targets = dict.fromkeys(table["target"].astype(str).to_numpy()[order].tolist())
        for target in list(targets)[:_TARGETS]:
            yield from target.split("+")  # genes that were edited together
