"""NextCellModel: a network with the vocabulary and settings that give its numbers a meaning.

Everything that a trained model is asked for is here, without Lightning: commands that only predict
start in half the time, and in two thirds of the memory. `TemporalGeneformerModel` adds training.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor, nn

from bionemo.geneformer_t.batch import TemporalBatch
from bionemo.geneformer_t.config import BioBertConfig, InferencePrecision, Objective, PairSettings
from bionemo.geneformer_t.model.attention.cell_offsets import Attention, CellOffsets
from bionemo.geneformer_t.model.attention.choose import choose_attention
from bionemo.geneformer_t.model.canonical_axes import CanonicalAxes
from bionemo.geneformer_t.model.checkpoint_contents import CheckpointEntry
from bionemo.geneformer_t.model.compatibility import check_agreement
from bionemo.geneformer_t.model.decoding import NextCellPrediction, most_probable_genes
from bionemo.geneformer_t.model.knn_memory import HIDDEN, KnnInterpolation, context_points
from bionemo.geneformer_t.model.network import NextCellBert
from bionemo.geneformer_t.model.precision import compute_dtype
from bionemo.geneformer_t.model.prediction import (
    all_masked,
    check_lengths,
    framed_cells,
    gene_log_probs,
    genes_of_rows,
)
from bionemo.geneformer_t.model.time_gap import TrainedGaps
from bionemo.geneformer_t.model.transition_fit import TransitionFit
from bionemo.geneformer_t.model.weight_checks import WEIGHTS, check_finite
from bionemo.geneformer_t.model.weights.lora import SCALE, has_adapters, merge_adapters
from bionemo.geneformer_t.model.weights.pretrained import CHECKPOINT_KEY
from bionemo.geneformer_t.model.weights.vocabulary_transfer import StartReport
from bionemo.geneformer_t.provenance import Provenance
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.training_cells import TrainingCells
from bionemo.geneformer_t.vocab import GeneVocab


class NextCellModel(nn.Module):
    """A network, its vocabulary, and what else a checkpoint holds of it.

    Args:
        config: Sizes of the network.
        attention_backend: `auto`, or a name in `ATTENTION_BACKENDS` or `GPU_BACKENDS`.
    """

    def __init__(self, config: BioBertConfig, attention_backend: str = "auto") -> None:
        super().__init__()
        self.config = config
        self.attention_backend = attention_backend
        self.net = NextCellBert(config)
        self.vocab: GeneVocab | None = None
        self.pair_settings: PairSettings | None = None
        self.start: StartReport | None = None
        self.provenance: Provenance | None = None
        self.axes: CanonicalAxes | None = None
        self.memory: KnnInterpolation | None = None
        self.training_cells: TrainingCells | None = None
        self.transitions: TransitionFit | None = None
        self.time_gaps: TrainedGaps | None = None
        self.precision: InferencePrecision = "32-true"
        self.loaded_from: Path | None = None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.net.bert.embeddings.word_embeddings.weight.device

    # --- what a batch means -------------------------------------------------------------------

    def logits(self, batch: TemporalBatch) -> Float[Tensor, "scored vocab"]:
        """Logits over the vocabulary at every scored position of the batch.

        Under the objective `mlm` a scored position is one in the current cell itself.
        """
        with self.computing():
            logits: Tensor = self.net(batch, self.attention(), self.objective)
        return logits.float() if logits.dtype == torch.bfloat16 else logits

    def forward(self, batch: TemporalBatch) -> Float[Tensor, "scored vocab"]:
        """The same as `logits`."""
        return self.logits(batch)

    def summed_loss(self, batch: TemporalBatch) -> Float[Tensor, ""]:
        """Cross-entropy in nats, summed over the scored positions; 0 where there are none."""
        with self.computing():
            return self.net.summed_loss(batch, self.attention(), self.objective)

    @property
    def objective(self) -> Objective:
        """What it learns: next cells, unless its settings say otherwise."""
        return "next_cell" if self.pair_settings is None else self.pair_settings.objective

    def attention(self) -> Attention:
        """The attention backend for the weights as they are, where they are."""
        return choose_attention(
            self.attention_backend,
            self.device,
            compute_dtype(self.net.bert.embeddings.word_embeddings.weight),
            self.config.hidden_size // self.config.num_attention_heads,
            self.config.attention_probs_dropout_prob if self.training else 0.0,
        )

    def computing(self) -> AbstractContextManager[object]:
        """In this context the network computes in `precision`.

        In training, the trainer decides.
        """
        if self.precision == "32-true":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    # --- vocabulary and checkpoints -----------------------------------------------------------

    def adopt(self, vocab: GeneVocab, settings: PairSettings) -> None:
        """Make these the meaning of token ids and positions.

        Raises:
            ValueError: The vocabulary or `seq_length` is too large for the model, or the model
                already has another vocabulary.
        """
        check_agreement(self.config, self.vocab, vocab, settings)
        self.vocab, self.pair_settings = vocab, settings

    def required_vocab(self) -> GeneVocab:
        """The vocabulary that the model was trained with.

        Raises:
            ValueError: The model has none yet.
        """
        if self.vocab is None:
            raise ValueError(
                "this model has no vocabulary yet; train it with a TemporalGeneformerDataModule "
                "or load a checkpoint, which carries one"
            )
        return self.vocab

    def required_axes(self) -> CanonicalAxes:
        """The canonical axes of the model.

        Raises:
            ValueError: It has none.
        """
        if self.axes is None:
            raise ValueError(
                "this model has no canonical axes, which its memory or a score is asked to use; "
                "`geneformer-t transitions --data_dir DIR` fits them to the cells that it was "
                "trained on"
            )
        return self.axes

    def required_gaps(self) -> TrainedGaps:
        """The time gaps that the model was trained on.

        Raises:
            ValueError: None.
        """
        if self.time_gaps is None:
            raise ValueError(
                "this model was trained without time gaps and cannot be asked how far ahead to "
                "look; train it with time_gap_key (`--time_gap_key day`, or `steps` for steps "
                "along the graph)"
            )
        return self.time_gaps

    def require_next_cells(self) -> None:
        """Refuse to predict from weights that were never trained on next cells.

        Raises:
            ValueError: They were trained with the objective `mlm`.
        """
        if self.objective == "mlm":
            raise ValueError(
                "this model was trained with objective 'mlm' to fill in a cell's own masked genes; "
                "it has learned nothing about next cells. Train it on pairs first: "
                "geneformer-t train --pretrained CHECKPOINT --data_dir DIR --output_dir DIR"
            )

    def entry(self) -> CheckpointEntry:
        """What the weights mean and where they come from."""
        return CheckpointEntry(
            vocab=self.vocab,
            pair_settings=self.pair_settings,
            lora_scale=SCALE if has_adapters(self.state_dict()) else None,
            start=self.start,
            provenance=self.provenance,
            axes=self.axes,
            memory=self.memory,
            training_cells=self.training_cells,
            transitions=self.transitions,
            time_gaps=self.time_gaps,
        )

    def read_entry(self, checkpoint: dict[str, Any]) -> None:
        """Take what a checkpoint says of its weights; merge low-rank updates into the weights.

        A vocabulary and settings that the model has already are those of the data to train on.

        Raises:
            ValueError: The checkpoint was not written by this model, or under another isolation
                rule, or weights in it are not finite, or its axes are another vocabulary's.
        """
        entry = CheckpointEntry.of(checkpoint)
        check_finite({name: checkpoint.get(name, {}) for name in (WEIGHTS, CHECKPOINT_KEY)})
        entry.check_axes()
        if entry.lora_scale and not has_adapters(self.state_dict()):
            checkpoint[WEIGHTS] = merge_adapters(checkpoint[WEIGHTS], entry.lora_scale)
        if self.vocab is not None and self.pair_settings is not None:
            check_agreement(self.config, entry.vocab, self.vocab, self.pair_settings)
        self.vocab = self.vocab or entry.vocab
        self.pair_settings = self.pair_settings or entry.pair_settings
        self.start = entry.start or self.start
        self.axes = entry.axes or self.axes
        self.memory = entry.memory or self.memory
        self.transitions = entry.transitions or self.transitions
        self.time_gaps = entry.time_gaps or self.time_gaps
        self.training_cells = self.training_cells or entry.training_cells
        if entry.provenance is not None and self.provenance is not None:
            source = entry.provenance.pretrained
            self.provenance = replace(self.provenance, pretrained=source)
        else:
            self.provenance = self.provenance or entry.provenance

    # --- prediction ---------------------------------------------------------------------------

    @torch.no_grad()
    def gap_distributions(
        self, contexts: Ragged, num_ranks: int, time_gaps: Float[ndarray, " gap"]
    ) -> Float[Tensor, "context gap rank vocab"]:
        """Log-probabilities of genes at ranks 1 to `num_ranks` of next cells at several time gaps.

        Each context is encoded once for all gaps. They are the network's own: the kNN memory knows
        successors of one step alone, and has no part in them.

        Args:
            contexts: Genes of each current cell in rank order, without special tokens.
            num_ranks: Ranks of the next cell.
            time_gaps: From current to next cell, in the model's unit; NaN for none.

        Raises:
            ValueError: The model was trained without gaps; has no vocabulary; or there are more
                tokens or ranks than positions.
        """
        vocab = self.required_vocab()
        check_lengths(num_ranks, int(contexts.lengths.max(initial=0)), self.config, vocab)
        batch = all_masked(contexts, num_ranks, vocab, time_gaps).to(self.device)
        with self.computing():
            logits = self.net(batch, self.attention())
        log_probs = gene_log_probs(logits, vocab)
        return log_probs.unflatten(0, (len(contexts), len(time_gaps), num_ranks))

    @torch.no_grad()
    def rank_distributions(
        self, contexts: Ragged, num_ranks: int, *, use_memory: bool = True
    ) -> Float[Tensor, "context rank vocab"]:
        """Log-probabilities of genes at ranks 1 to `num_ranks` of each next cell.

        Every rank is asked at once as `[MASK]`; nothing of the next cell is shown, so one answer
        serves any number of successors. The network's distribution is interpolated with that of the
        kNN memory where the model has one.

        Args:
            contexts: Genes of each current cell in rank order, without special tokens.
            num_ranks: Ranks of the next cell.
            use_memory: False for the network alone.

        Raises:
            ValueError: The model has no vocabulary, or there are more tokens or ranks than
                positions.
        """
        vocab = self.required_vocab()
        check_lengths(num_ranks, int(contexts.lengths.max(initial=0)), self.config, vocab)
        batch = all_masked(contexts, num_ranks, vocab).to(self.device)
        if self.memory is None or not use_memory or not len(contexts):
            with self.computing():
                logits = self.net(batch, self.attention())
            return gene_log_probs(logits, vocab).unflatten(0, (-1, num_ranks))
        if self.memory.mixing.space == HIDDEN:
            with self.computing():
                logits, hidden = self.net.logits_and_contexts(batch, self.attention())
            points = context_points(hidden, batch.context_offsets).float().cpu().numpy()
        else:
            with self.computing():
                logits = self.net(batch, self.attention())
            points = self.required_axes().expected(contexts)
        log_probs = gene_log_probs(logits, vocab).unflatten(0, (-1, num_ranks))
        mixed = [
            torch.from_numpy(self.memory.mix(own, point))
            for own, point in zip(log_probs.cpu().numpy(), points, strict=True)
        ]
        return torch.stack(mixed).to(log_probs.device)

    @torch.no_grad()
    def context_points(self, contexts: Ragged) -> Float[Tensor, "context hidden"]:
        """Current cells as points by their hidden states; see `knn_memory`.

        Args:
            contexts: Genes of each current cell in rank order, without special tokens.
        """
        framed = framed_cells(contexts, self.required_vocab())
        offsets = CellOffsets.of(torch.from_numpy(framed.offsets).to(self.device))
        ids = torch.from_numpy(framed.values).to(self.device)
        with self.computing():
            hidden = self.net.bert.read(ids, offsets, self.attention())
        return context_points(hidden, offsets.offsets).float()

    @torch.no_grad()
    def predict_next_cell(
        self,
        current_cell_ids: Int[Tensor, "cell token"],
        attention_mask: Int[Tensor, "cell slot"] | Bool[Tensor, "cell slot"] | None = None,
        num_predictions: int = 10,
        *,
        return_distribution: bool = False,
    ) -> NextCellPrediction:
        """The highest-ranked genes of the predicted next cell, for each current cell.

        Args:
            current_cell_ids: Ranked gene tokens, cells x tokens, with or without `[CLS]` and
                `[SEP]`.
            attention_mask: Cells x tokens: 1 for tokens, 0 for padding on the right; None when
                nothing is padded.
            num_predictions: Ranks to predict, from the highest.
            return_distribution: Also return the probability of every token at every rank.

        Returns:
            Genes in rank order, none twice in a cell, with their probabilities: cells x ranks. On
            request the distribution: cells x ranks x tokens.

        Raises:
            ValueError: The model has no vocabulary or was not trained on next cells, an id is not
                in the vocabulary, a cell is empty, padding is not on the right, or there are more
                ranks than positions or genes.

        Example:
            >>> import torch
            >>> genes = torch.tensor(model.vocab.encode(["GENE1", "GENE2", "GENE3"])[None])
            >>> found = model.predict_next_cell(genes, num_predictions=5)
            >>> found.genes, found.probabilities
        """
        self.require_next_cells()
        vocab = self.required_vocab()
        contexts = genes_of_rows(current_cell_ids, attention_mask, vocab)
        with evaluating(self):
            log_probs = self.rank_distributions(contexts, num_predictions)
        chosen = most_probable_genes(log_probs)
        return NextCellPrediction(
            token_ids=chosen,
            probabilities=log_probs.gather(-1, chosen[..., None])[..., 0].exp(),
            genes=[vocab.decode(cell) for cell in chosen.tolist()],
            distribution=log_probs.exp() if return_distribution else None,
        )


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, without dropout, for as long as the context lasts."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


def settings_of(model: NextCellModel) -> PairSettings:
    """How the model's pairs were made in training.

    A model that was never given any was saved without data; its positions set the length then.
    """
    return model.pair_settings or PairSettings(seq_length=model.config.max_position_embeddings)
