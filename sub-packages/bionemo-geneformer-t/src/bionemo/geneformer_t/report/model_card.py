"""The model card of an exported model: data, graph, parameters, scores, and how to use it.

The words are in `templates/model_card.md.j2`. The Python among them is part of the product: it runs
in the exported folder, and the tests compare its numbers with ours.
"""

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from bionemo.geneformer_t import __version__
from bionemo.geneformer_t.data.folder import VOCAB
from bionemo.geneformer_t.evaluate.headline import FREQUENCIES
from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.evaluate.row_names import EXPORTED, MODEL
from bionemo.geneformer_t.inference.cell_framing import reading_of
from bionemo.geneformer_t.inference.huggingface_export import (
    GENE_MEDIANS,
    GENE_NAMES,
    MAPPING,
    TOKENS,
    left_out,
    objective_of,
)
from bionemo.geneformer_t.model.next_cell_model import NextCellModel, settings_of
from bionemo.geneformer_t.report.checkpoint_facts import SHOWN
from bionemo.geneformer_t.table import Table, number, percent, span

TEMPLATE = "templates/model_card.md.j2"
_TAGS = ["single-cell", "transcriptomics", "geneformer", "geneformer-t"]
_CAUTION = {
    "val": " The checkpoint was chosen by these cells; cells of `test` are a fairer judge.",
    "train": " The model was trained on these cells: the scores say nothing of others.",
}
"""Split -> what its scores are worth."""


def model_card(model: NextCellModel, name: str, evaluation: Mapping[str, Any] | None) -> str:
    """The card as Markdown.

    Args:
        model: What is exported.
        name: Its title.
        evaluation: What `evaluation.json` holds; None where nothing was measured.
    """
    from huggingface_hub import ModelCard, ModelCardData

    vocab, reading = model.required_vocab(), reading_of(model)
    card = ModelCard.from_template(
        ModelCardData(library_name="transformers", pipeline_tag="fill-mask", tags=_TAGS),
        template_str=(files("bionemo.geneformer_t.report") / TEMPLATE).read_text("utf-8"),
        name=name,
        version=__version__,
        objective=objective_of(model),
        data=_data(model),
        vocab=vocab,
        examples=[(vocab.tokens[i], vocab.symbols[i]) for i in vocab.gene_ids[:3]],
        fingerprint=vocab.fingerprint[:SHOWN],
        settings=settings_of(model),
        reading=reading,
        parameters=_parameters(model),
        scores=None if evaluation is None else scores_table(evaluation),
        own_score="" if evaluation is None else own_score(evaluation, left_out(model)),
        missing=left_out(model),
        vocab_file=VOCAB,
        position_scheme=model.config.position_scheme,
        tools=_tools(len(reading.before) + len(reading.after), reading.genes_per_cell),
    )
    return f"{card}\n"


def scores_table(evaluation: Any) -> str:
    """The rows of what `evaluation.json` holds, as a Markdown table.

    Raises:
        ValueError: It holds no scores.
    """
    head = ["", "cross-entropy (nats)", "95 % interval", "top-1 (%)", "top-10 (%)", "top-100 (%)",
            "cross-entropy, new genes"]  # fmt: skip
    try:
        rows = [
            [
                row_name,
                number(row["all"]["cross_entropy"]),
                span(*(row["cross_entropy_interval"][end] for end in ("low", "high"))),
                *(percent(row["all"][f"top{k}"]) for k in (1, 10, 100)),
                number(row["changed"]["cross_entropy"]),
            ]
            for row_name, row in evaluation["rows"].items()
        ]
        split = evaluation["split"]
        scored = (
            f"On `{split}`: {evaluation['num_positions']:,} positions of "
            f"{evaluation['num_pairs']:,} next cells of {evaluation['num_cells']:,} current cells, "
            "every position masked. New genes are those that the current cell does not express."
            f"{_CAUTION.get(split, '')}"
        )
        intervals = str(evaluation["intervals"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it holds no scores as `geneformer-t evaluate` writes them ({error!r})") \
            from error  # fmt: skip
    return f"{scored}\n\n{Table(head=[head], rows=rows).markdown()}\n\n{intervals}"


def own_score(evaluation: Any, missing: Sequence[str]) -> str:
    """What the exported network scores by itself, and whether it beats gene frequencies.

    Args:
        evaluation: What `evaluation.json` holds.
        missing: What the checkpoint predicts with and the export does not.
    """
    rows = evaluation["rows"]
    row = rows.get(EXPORTED if missing else MODEL)
    if row is None or FREQUENCIES not in rows:
        return (
            "The score of this network by itself is not known: the scores below are those of the "
            f"checkpoint, which also predicts with its {' and its '.join(missing)}. Evaluate the "
            "checkpoint again with this version, and export it with the new `evaluation.json`."
        )
    nats = f"{number(row['all']['cross_entropy'])} nats per position"
    frequencies = f"{FREQUENCIES} have {number(rows[FREQUENCIES]['all']['cross_entropy'])}"
    gains = evaluation["exported_advantages" if missing else "advantages"][FREQUENCIES]["all"]
    gain = Interval(**{name: _nan_of(value) for name, value in gains.items()})
    shown = f"{gain.mean:+.3f}, 95 % interval {span(gain.low, gain.high)}"
    beside = f"{nats}; {frequencies} (gain {shown})"
    if gain.verdict == "better":
        return f"This network beats gene frequencies: it scores {beside}."
    why = " There are too few cells or donors to tell." if gain.verdict == "too few" else ""
    return f"**This network does not beat gene frequencies**: it scores {beside}.{why}"


def _nan_of(value: Any) -> Any:
    return math.nan if value is None else value


def _data(model: NextCellModel) -> str:
    """A table of the training; empty where nothing is recorded."""
    trained, start = model.provenance, model.start
    rows = []
    if trained is not None:
        rows += [
            ("cells", f"`{trained.data_name}`, {trained.num_cells:,} training cells, fingerprint "
                      f"`{trained.data_fingerprint[:SHOWN]}`"),
            ("graph", f"`{trained.neighbor_key}`: {trained.num_edges:,} "
                      f"{'shuffled ' if trained.shuffled else ''}successors of "
                      f"{trained.num_examples:,} current cells, fingerprint "
                      f"`{trained.graph_fingerprint[:SHOWN]}`"),
            ("seed", str(trained.seed)),
        ]  # fmt: skip
    if start is not None:
        rows += [
            ("started from", start.source),
            ("genes with pretrained rows", f"{start.genes_pretrained:,}; "
                                           f"{len(start.genes_new):,} were new"),
            ("initialised", ", ".join(start.initialised) or "nothing"),
        ]  # fmt: skip
    if model.transitions is not None:
        rows.append(("transitions of the checkpoint", str(model.transitions)))
    if not rows:
        return ""
    if trained is None:
        rows.insert(0, ("cells", "none: the pretrained weights as they are"))
    elif start is None:
        rows.append(("started from", "no pretrained weights"))
    return Table.of_facts(rows).markdown()


def _parameters(model: NextCellModel) -> str:
    config = model.config
    weights = sum(parameter.numel() for parameter in model.parameters())
    rows = [
        ("layers", str(config.num_hidden_layers)),
        ("heads", str(config.num_attention_heads)),
        ("hidden size", str(config.hidden_size)),
        ("feed-forward size", str(config.intermediate_size)),
        ("positions", f"{config.max_position_embeddings:,}, `{config.position_scheme}`"),
        ("activation", "ReLU"),
        ("weights", f"{weights:,}"),
    ]
    return Table.of_facts(rows).markdown()


def _tools(num_specials: int, genes_per_cell: int) -> str:
    """What Geneformer's tools are given."""
    rows = [
        ("`token_dictionary_file`", f"`{TOKENS}`"),
        ("`gene_median_file`", f"`{GENE_MEDIANS}`"),
        ("`gene_mapping_file`", f"`{MAPPING}`"),
        ("`gene_name_id_dictionary_file`", f"`{GENE_NAMES}`"),
        ("`special_token`", str(bool(num_specials))),
        ("`model_input_size`", f"{genes_per_cell + num_specials:,}"),
        ("`model_type`", '`"Pretrained"`'),
        ("`emb_layer`", "-1, the second to last layer"),
    ]
    return Table(head=[["parameter", "value"]], rows=rows, left=(0, 1)).markdown()
