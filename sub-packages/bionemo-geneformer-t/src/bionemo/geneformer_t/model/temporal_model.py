"""TemporalGeneformerModel: the encoder as a LightningModule that trains, saves and predicts.

How it trains is in `model/step/training.py`; here are what a batch means, what a checkpoint
carries and how the next cell is predicted.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bionemo.geneformer_t.batch import TemporalBatch
from bionemo.geneformer_t.config import (
    BioBertConfig,
    PairSettings,
    PositionScheme,
    Recompute,
)
from bionemo.geneformer_t.model.attention.cell_offsets import Attention, Groups
from bionemo.geneformer_t.model.attention.choose import choose_attention
from bionemo.geneformer_t.model.compatibility import check_agreement
from bionemo.geneformer_t.model.decoding import NextCellPrediction
from bionemo.geneformer_t.model.knn_memory import SuccessorMemory, context_points
from bionemo.geneformer_t.model.network import NextCellBert
from bionemo.geneformer_t.model.precision import compute_dtype
from bionemo.geneformer_t.model.prediction import gene_log_probs, predict_next_cell
from bionemo.geneformer_t.model.step.training import NextCellTraining
from bionemo.geneformer_t.model.weight_checks import (
    HYPER_PARAMETERS,
    WEIGHTS,
    check_finite,
    check_sizes_of,
    naming,
)
from bionemo.geneformer_t.model.weights.checkpoint_entry import Carried, carried_by
from bionemo.geneformer_t.model.weights.lora import has_adapters, merge_adapters
from bionemo.geneformer_t.model.weights.pretrained import (
    CHECKPOINT_KEY,
    Pretrained,
    read_pretrained,
)
from bionemo.geneformer_t.model.weights.safe_files import load_plain
from bionemo.geneformer_t.model.weights.vocabulary_transfer import StartReport, changed, transplant
from bionemo.geneformer_t.provenance import Provenance
from bionemo.geneformer_t.setting_values import plain_entry, typed
from bionemo.geneformer_t.vocab import GeneVocab


class TemporalGeneformerModel(NextCellTraining):
    """Geneformer that predicts the next cell.

    Args:
        config: Sizes of the model.
        learning_rate: Peak learning rate of AdamW.
        weight_decay: On matrices; biases and LayerNorms are spared.
        warmup_steps: Optimizer steps to the peak; None for a tenth of the run, at most 2,000.
        layer_lr_decay: Factor on the learning rate from each layer to the one below it.
        attention_backend: `auto`, or a name in `ATTENTION_BACKENDS` or `GPU_BACKENDS`.
        recompute: What the backward pass computes again instead of finding it kept.
        compile: Compile the layers with `torch.compile` when training starts.

    The vocabulary comes from the data module at the start of a run, or from the checkpoint.

    Raises:
        TypeError: An argument is no plain value of its type; names it.
        ValueError: A size or a choice is not possible.
    """

    def __init__(
        self,
        config: BioBertConfig | Mapping[str, Any],
        *,
        learning_rate: float = 1e-4,
        weight_decay: float = 0.01,
        warmup_steps: int | None = None,
        layer_lr_decay: float | None = None,
        attention_backend: str = "auto",
        recompute: Recompute = "nothing",
        compile: bool = False,  # noqa: A002 # PyTorch's and Lightning's own word for it
    ) -> None:
        config = config if isinstance(config, BioBertConfig) else BioBertConfig.from_dict(config)
        training = typed(TemporalGeneformerModel.__init__, {
            "learning_rate": learning_rate,
            "weight_decay": weight_decay,
            "warmup_steps": warmup_steps,
            "layer_lr_decay": layer_lr_decay,
            "attention_backend": attention_backend,
            "recompute": recompute,
            "compile": compile,
        })  # fmt: skip
        super().__init__(NextCellBert(config))
        self.config = config
        self.save_hyperparameters({"config": config.to_dict(), **training})
        self.net.set_recompute(training["recompute"])
        self.vocab: GeneVocab | None = None
        self.start: StartReport | None = None
        self.provenance: Provenance | None = None
        self.memory: SuccessorMemory | None = None

    @classmethod
    def from_pretrained(
        cls,
        source: Path | str | Pretrained,
        *,
        vocab: GeneVocab | None = None,
        pretrained_vocab: Path | str | None = None,
        position_scheme: PositionScheme | None = None,
        dropout_prob: float | None = None,
        num_positions: int | None = None,
        rank_knots: int | None = None,
        seed: int = 42,
        **training: Any,
    ) -> "TemporalGeneformerModel":
        """A model that starts from a Geneformer checkpoint, its rows found by gene.

        Args:
            source: A folder with `config.json` and `model.safetensors`, a checkpoint of a training
                run, `OWNER/NAME[/FOLDER]` on the Hugging Face hub, or what was read of these.
            vocab: The vocabulary of the data; by default that of the checkpoint, special tokens
                that it lacks added at the end.
            pretrained_vocab: The token dictionary of the weights, where none lies beside them.
            position_scheme: See `BioBertConfig`; by default the checkpoint's.
            dropout_prob: Dropout on embeddings, layer outputs and attention; by default the
                checkpoint's.
            num_positions: Rows of the position table; more than the checkpoint has are appended.
            rank_knots: See `BioBertConfig`; by default the checkpoint's.
            seed: Draws what has no pretrained weights; `start` lists it.
            training: What the constructor takes beside `config`.

        Raises:
            FileNotFoundError: The checkpoint, or a file of it, is missing.
            ValueError: It is damaged, of another architecture, does not agree with itself, or
                knows no gene of the vocabulary.
        """
        pretrained = (
            source if isinstance(source, Pretrained) else read_pretrained(source, pretrained_vocab)
        )
        vocab = pretrained.own_vocab() if vocab is None else vocab
        config = changed(
            pretrained.config, position_scheme, dropout_prob, num_positions, rank_knots
        )
        planted = transplant(pretrained, vocab, config, seed)
        model = cls(planted.config, **training)
        model.net.load_state_dict(planted.state)
        model.vocab, model.start = vocab, planted.report
        return model

    @classmethod
    def load_from_checkpoint(
        cls, checkpoint_path: Path | str | IO[bytes], *args: Any, **kwargs: Any
    ) -> "TemporalGeneformerModel":
        """What Lightning's method does, once the settings agree with the tensors in the file.

        Args:
            checkpoint_path: A file, or what else Lightning takes.
            args: What Lightning's method takes beside it.
            kwargs: The same, by name.

        Raises:
            ValueError: As `on_load_checkpoint`; or the file is damaged, or its settings are not
                those of its weights.
        """
        if isinstance(checkpoint_path, Path | str) and Path(checkpoint_path).is_file():
            content = load_plain(Path(checkpoint_path), mmap=True)
            with naming(checkpoint_path):
                check_sizes_of(content if CHECKPOINT_KEY in content else {})
        with naming(checkpoint_path):
            loaded: TemporalGeneformerModel = super().load_from_checkpoint(
                checkpoint_path, *args, **kwargs
            )
        return loaded

    # --- what a batch means -------------------------------------------------------------------

    def logits(self, batch: TemporalBatch) -> Float[Tensor, "scored vocab"]:
        """Logits over the vocabulary at every scored position of the batch.

        Under the objective `mlm` a scored position is one in the current cell itself.
        """
        logits: Tensor = (self.net.masked_logits if self._is_plain else self.net)(
            batch, self._attention(batch)
        )
        return logits

    def forward(self, batch: TemporalBatch) -> Float[Tensor, "scored vocab"]:
        """The same as `logits`."""
        return self.logits(batch)

    def summed_loss(self, batch: TemporalBatch) -> Float[Tensor, ""]:
        """Cross-entropy in nats, summed over the scored positions; 0 where there are none."""
        summed_loss = self.net.masked_summed_loss if self._is_plain else self.net.summed_loss
        return summed_loss(batch, self._attention(batch))

    @property
    def _is_plain(self) -> bool:
        return self.pair_settings is not None and self.pair_settings.objective == "mlm"

    def _attention(self, batch: TemporalBatch) -> Attention:
        return self._attention_on(batch.context_ids.device)

    def _attention_on(self, device: torch.device) -> Attention:
        weight = self.net.bert.embeddings.word_embeddings.weight
        return choose_attention(
            self.hparams["attention_backend"],
            device,
            compute_dtype(weight),
            self.config.hidden_size // self.config.num_attention_heads,
            self.config.attention_probs_dropout_prob if self.training else 0.0,
        )

    # --- vocabulary and checkpoints -----------------------------------------------------------

    def on_fit_start(self) -> None:
        """Forget what an earlier training remembered, for weights change."""
        super().on_fit_start()
        self.memory = None

    def setup(self, stage: str) -> None:
        """Take the vocabulary and the pair settings of the data module."""
        data = getattr(self.trainer, "datamodule", None)
        if data is not None and hasattr(data, "vocab"):
            self.adopt(data.vocab, data.settings)
        if data is not None and stage == "fit" and hasattr(data, "provenance"):
            source = self.start.source if self.start else None
            self.provenance = replace(data.provenance, pretrained=source)

    def adopt(self, vocab: GeneVocab, settings: PairSettings) -> None:
        """Make these the meaning of token ids and positions.

        Raises:
            ValueError: The vocabulary or `seq_length` is too large for the model, or the model
                already has another vocabulary.
        """
        check_agreement(self.config, self.vocab, vocab, settings)
        self.vocab, self.pair_settings = vocab, settings

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put what the weights mean and come from beside them, as plain values.

        Raises:
            TypeError: A setting is no plain value; the checkpoint could not be read again.
        """
        checkpoint[CHECKPOINT_KEY] = Carried.of(self).to_dict()
        checkpoint[HYPER_PARAMETERS] = plain_entry(
            checkpoint.get(HYPER_PARAMETERS, {}), HYPER_PARAMETERS, kept=Tensor
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them back.

        Raises:
            ValueError: The checkpoint was not written by this model, or under another isolation
                rule, or weights in it are not finite.
        """
        carried = Carried.from_dict(carried_by(checkpoint))
        check_finite({name: checkpoint.get(name, {}) for name in (WEIGHTS, CHECKPOINT_KEY)})
        if carried.lora_scale and not has_adapters(self.state_dict()):
            state = merge_adapters(checkpoint["state_dict"], carried.lora_scale)
            checkpoint["state_dict"] = state
        if self.vocab is not None and self.pair_settings is not None:  # of the data to go on with
            check_agreement(self.config, carried.vocab, self.vocab, self.pair_settings)
        for name in ("vocab", "pair_settings", "start", "memory"):
            is_ours = name in {"vocab", "pair_settings"} and getattr(self, name) is not None
            if getattr(carried, name) is not None and not is_ours:
                setattr(self, name, getattr(carried, name))
        if carried.provenance is not None:
            source = carried.provenance.pretrained
            now = self.provenance
            self.provenance = replace(now, pretrained=source) if now else carried.provenance

    # --- prediction ---------------------------------------------------------------------------

    @torch.no_grad()
    def next_cell_log_probs(
        self, batch: TemporalBatch, num_ranks: int
    ) -> Float[Tensor, "context rank vocab"]:
        """Log-probabilities of genes at ranks 1 to `num_ranks` of each next cell.

        The network's, mixed with the memory's where the model has one.

        Args:
            batch: As `all_masked` makes it.
            num_ranks: The ranks that it asks for.
        """
        vocab = self._required_vocab()
        if self.memory is None or not batch.num_contexts:
            return gene_log_probs(self.logits(batch), vocab).unflatten(0, (-1, num_ranks))
        logits, contexts = self.net.logits_and_contexts(batch, self._attention(batch))
        log_probs = gene_log_probs(logits, vocab).unflatten(0, (-1, num_ranks))
        points = context_points(contexts, batch.context_offsets).float().cpu().numpy()
        mixed = [
            torch.from_numpy(self.memory.mix(own, point))
            for own, point in zip(log_probs.cpu().numpy(), points, strict=True)
        ]
        return torch.stack(mixed).to(log_probs.device)

    @torch.no_grad()
    def context_points(
        self,
        context_ids: Int[Tensor, " context_token"],
        offsets: Int[Tensor, " contexts_plus_1"],
    ) -> Float[Tensor, "context hidden"]:
        """Where the network finds current cells to lie; see `model/knn_memory.py`.

        Args:
            context_ids: Packed `[CLS] genes [SEP]` of each.
            offsets: Where each begins, and where the last ends.
        """
        attend = self._attention_on(context_ids.device)
        hidden = self.net.bert.read(context_ids, Groups.of(offsets), attend)
        return context_points(hidden, offsets).float()

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
            current_cell_ids: Ranked gene tokens, with or without `[CLS]` and `[SEP]`.
            attention_mask: 1 for tokens, 0 for padding on the right; None when nothing is padded.
            num_predictions: Ranks to predict, from the highest.
            return_distribution: Also return the probability of every token at every rank.

        Returns:
            Genes in rank order, none twice in a cell, with their probabilities.

        Raises:
            ValueError: The model has no vocabulary or was not trained on next cells, an id is not
                in the vocabulary, a cell is empty, padding is not on the right, or there are more
                ranks than positions or genes.
        """
        self.require_next_cells()
        training = self.training
        self.eval()
        try:
            return predict_next_cell(
                self.next_cell_log_probs,
                self.config,
                self._required_vocab(),
                current_cell_ids.to(self.device),
                None if attention_mask is None else attention_mask.to(self.device),
                num_predictions,
                return_distribution=return_distribution,
            )
        finally:
            self.train(training)

    def require_next_cells(self) -> None:
        """Refuse to predict from weights that never saw a next cell.

        Raises:
            ValueError: They were trained with the objective `mlm`.
        """
        if self.pair_settings is not None and self.pair_settings.objective == "mlm":
            raise ValueError(
                "this model was trained with objective 'mlm' to fill in a cell's own masked genes; "
                "it has learned nothing about next cells. Train it on pairs first: "
                "geneformer-t train --pretrained CHECKPOINT --data_dir DIR --output_dir DIR"
            )

    def _required_vocab(self) -> GeneVocab:
        if self.vocab is None:
            raise ValueError(
                "this model has no vocabulary yet; train it with a TemporalGeneformerDataModule "
                "or load a checkpoint, which carries one"
            )
        return self.vocab
