"""Short training runs in a process of their own: `training_script.py DATA_DIR OUT KIND ...`.

Tests run it where a run starts processes, or where the checks of shapes must be off, which
`torch.compile` cannot look through. The first run on two processes starts the second one, which
starts this file again; later ones find it there.
"""

import sys
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.strategies import ModelParallelStrategy

from bionemo.geneformer_t.config import BioBertConfig
from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.model.step.sharding import is_sharded
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel

CONFIG = BioBertConfig(
    vocab_size=40,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    max_position_embeddings=64,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
KINDS = {
    "plain": {"devices": 1},
    "compiled": {"devices": 1, "compile": True},
    "compiled_feed_forward": {"devices": 1, "compile": True, "recompute": "feed_forward"},
    "ddp": {"devices": 2, "strategy": "ddp"},
    "sharded": {"devices": 2},
    "sharded_layers": {"devices": 2, "recompute": "layers"},
}


def train(data_dir: str, kind: str, out: Path) -> None:
    """Train four steps; save the weights and the last loss."""
    options = dict(KINDS[kind])
    devices = options.pop("devices")
    is_meant_sharded = kind.startswith("sharded")
    strategy = options.pop("strategy", "auto")
    if is_meant_sharded:
        strategy = ModelParallelStrategy(
            data_parallel_size=2, tensor_parallel_size=1, save_distributed_checkpoint=False
        )
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    torch.manual_seed(0)
    model = TemporalGeneformerModel(CONFIG, learning_rate=1e-2, **options)
    trainer = L.Trainer(
        default_root_dir=out,
        accelerator="cpu",
        devices=devices,
        strategy=strategy,
        max_steps=4,
        gradient_clip_val=0.5,
        log_every_n_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, TemporalGeneformerDataModule(data_dir, seq_length=64, micro_batch_size=4))
    assert trainer.world_size == devices
    assert is_sharded(model.net) == is_meant_sharded
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert (graphs > 0) == ("compile" in options)
    state = trainer.strategy.lightning_module_state_dict()
    if trainer.is_global_zero:
        loss = float(trainer.callback_metrics["train/loss"])
        torch.save({"state": state, "loss": loss}, out / f"{kind}.pt")


if __name__ == "__main__":
    for name in sys.argv[3:]:
        train(sys.argv[1], name, Path(sys.argv[2]))
