"""The model card of an exported model: data, graph, parameters, scores, and how to use it.

The Python in it is part of the product: it runs in the folder as it stands, and the tests compare
its numbers with ours.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bionemo.geneformer_t import __version__
from bionemo.geneformer_t.inference.cell_framing import reading_of
from bionemo.geneformer_t.inference.checkpoint import settings_of
from bionemo.geneformer_t.inference.huggingface_export import (
    GENE_MEDIANS,
    GENE_NAMES,
    MAPPING,
    TOKENS,
    left_out,
    objective_of,
)
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.report.model_card_snippets import next_cell_snippet, plain_snippet

_HEAD = """\
---
library_name: transformers
pipeline_tag: fill-mask
tags: [single-cell, transcriptomics, geneformer, geneformer-t]
---
"""
_LEARNED = {
    "next_cell": "the genes of the next cell of a trajectory, given the current one",
    "mlm": "a cell's own masked genes, as Geneformer was pretrained",
}
_CAUTION = {
    "val": " The checkpoint was chosen by these cells; cells of `test` are a fairer judge.",
    "train": " The model was trained on these cells: the scores say nothing of others.",
}
"""Split -> what its scores are worth."""
_SHOWN = 12


def model_card(model: NextCellModel, name: str, evaluation: Mapping[str, Any] | None) -> str:
    """The card as Markdown.

    Args:
        model: What is exported.
        name: Its title.
        evaluation: What `evaluation.json` holds; None where nothing was measured.
    """
    objective = objective_of(model)
    sections = [
        f"# {name}",
        f"A BERT over rank-value-encoded single cells that learned {_LEARNED[objective]}; exported "
        f"by geneformer-t {__version__}. A cell is its expressed genes, the most characteristic "
        "first.",
        "## Data",
        _data(model),
        "## Cells and vocabulary",
        _cells(model),
        "## Parameters",
        _parameters(model),
        "## Scores",
        _scores(model, evaluation, objective),
        "## In transformers",
        "The folder is a `BertForMaskedLM`. Run the code in it, or put its path for `FOLDER`.",
        _python(plain_snippet(reading_of(model))),
        *_next_cells(model, objective),
        "## In Geneformer's tools",
        _tools(model),
        "## Limits",
        _limits(objective),
    ]
    return _HEAD + "\n" + "\n\n".join(sections) + "\n"


def scores_table(evaluation: Any) -> str:
    """The rows of what `evaluation.json` holds, as a Markdown table.

    Raises:
        ValueError: It holds no scores.
    """
    header = ["", "cross-entropy (nats)", "95 % interval", "top-1", "top-10", "top-100",
              "cross-entropy, new genes"]  # fmt: skip
    try:
        rows = [
            [
                row_name,
                _number(row["all"]["cross_entropy"]),
                " to ".join(_number(row["cross_entropy_interval"][end]) for end in ("low", "high")),
                *(_share(row["all"][f"top{k}"]) for k in (1, 10, 100)),
                _number(row["changed"]["cross_entropy"]),
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
    return f"{scored}\n\n{_table(header, rows)}\n\n{intervals}"


def _data(model: NextCellModel) -> str:
    trained, start = model.provenance, model.start
    rows = []
    if trained is not None:
        rows += [
            ("cells", f"`{trained.data_name}`, {trained.num_cells:,} training cells, fingerprint "
                      f"`{trained.data_fingerprint[:_SHOWN]}`"),
            ("graph", f"`{trained.neighbor_key}`: {trained.num_edges:,} "
                      f"{'shuffled ' if trained.shuffled else ''}successors of "
                      f"{trained.num_examples:,} current cells, fingerprint "
                      f"`{trained.graph_fingerprint[:_SHOWN]}`"),
            ("seed", str(trained.seed)),
        ]  # fmt: skip
    if start is not None:
        rows += [
            ("started from", start.source),
            ("genes with pretrained rows", f"{start.genes_pretrained:,}; "
                                           f"{len(start.genes_new):,} were new"),
            ("initialised", ", ".join(start.initialised) or "nothing"),
        ]  # fmt: skip
    if not rows:
        return "Not recorded: the model was saved before it met any data."
    if trained is None:
        rows.insert(0, ("cells", "none: the pretrained weights as they are"))
    elif start is None:
        rows.append(("started from", "no pretrained weights"))
    return _table(["", ""], rows)


def _cells(model: NextCellModel) -> str:
    vocab, settings, reading = model.required_vocab(), settings_of(model), reading_of(model)
    value = (
        f"count / total count * {settings.target_sum:,.0f} / median of the gene"
        if settings.normalize_gene_expression
        else "count"
    )
    return (
        f"{len(vocab):,} tokens, {len(vocab.genes):,} of them genes such as "
        f"`{'`, `'.join(vocab.genes[:3])}`; fingerprint `{vocab.fingerprint[:_SHOWN]}`. Genes are "
        f"ranked by {value}; the {reading.genes_per_cell:,} highest of a current cell are read."
    )


def _parameters(model: NextCellModel) -> str:
    config = model.config
    number = sum(parameter.numel() for parameter in model.parameters())
    rows = [
        ("layers", config.num_hidden_layers),
        ("heads", config.num_attention_heads),
        ("hidden size", config.hidden_size),
        ("feed-forward size", config.intermediate_size),
        ("positions", f"{config.max_position_embeddings:,}, `{config.position_scheme}`"),
        ("activation", "ReLU"),
        ("weights", f"{number:,}"),
    ]
    return _table(["", ""], [(label, str(value)) for label, value in rows])


def _scores(model: NextCellModel, evaluation: Mapping[str, Any] | None, objective: str) -> str:
    if evaluation is not None:
        missing = left_out(model)
        note = (
            "\n\nThey are those of the checkpoint, which also predicts with its "
            f"{' and its '.join(missing)}; `BertForMaskedLM` knows no such thing, so the weights "
            "here do worse alone."
        )
        return scores_table(evaluation) + (note if missing else "")
    if objective == "next_cell":
        return (
            "None were measured for this export. `geneformer-t evaluate` scores the checkpoint "
            "beside baselines; export it again with the `evaluation.json` that it writes."
        )
    return "None were measured for this export."


def _next_cells(model: NextCellModel, objective: str) -> Sequence[str]:
    if objective != "next_cell":
        return ()
    return (
        "### Next cells",
        "Each rank of the next cell is a `[MASK]` of token type 1. Every position attends to the "
        "current cell and to nothing else, which takes a mask of four dimensions:",
        _python(next_cell_snippet(model.config.position_scheme)),
    )


def _tools(model: NextCellModel) -> str:
    reading = reading_of(model)
    specials = len(reading.before) + len(reading.after)
    rows = [
        ("`token_dictionary_file`", f"`{TOKENS}`"),
        ("`gene_median_file`", f"`{GENE_MEDIANS}`"),
        ("`gene_mapping_file`", f"`{MAPPING}`"),
        ("`gene_name_id_dictionary_file`", f"`{GENE_NAMES}`"),
        ("`special_token`", str(bool(specials))),
        ("`model_input_size`", f"{reading.genes_per_cell + specials:,}"),
        ("`model_type`", '`"Pretrained"`'),
        ("`emb_layer`", "-1, the second to last layer"),
    ]
    return (
        "Give the tokeniser, the embedding extractor and the perturber this folder as the model, "
        "and:\n\n" + _table(["parameter", "value"], rows)
    )


def _limits(objective: str) -> str:
    text = (
        "For research. The model knows the genes of its vocabulary only, in cells like those that "
        "it was trained on."
    )
    if objective == "next_cell":
        text += (
            " It predicts every rank of the next cell on its own, so that a plain argmax may name "
            "a gene twice; `geneformer-t predict` assigns each gene once."
        )
    return text


def _python(code: str) -> str:
    return f"```python\n{code}```"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
