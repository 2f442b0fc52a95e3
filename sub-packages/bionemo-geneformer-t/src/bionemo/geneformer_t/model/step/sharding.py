"""Fully sharded data parallelism (FSDP2): every process keeps a part of each layer.

For Lightning's `ModelParallelStrategy`, which also runs on CPUs; its older `fsdp` strategy shards
by itself and needs nothing from the model.
"""

from typing import TYPE_CHECKING

from torch import nn

from bionemo.geneformer_t.model.network import NextCellBert

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

ENTRANCES = ("summed_loss", "losses", "logits_and_contexts")
"""Methods of the network, beside `forward`, at which its weights must be whole."""


def shard(net: NextCellBert, mesh: "DeviceMesh") -> None:
    """Shard the network, layer by layer, over the processes of a mesh."""
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    for layer in net.bert.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(net, mesh=mesh)
    for method in ENTRANCES:
        register_fsdp_forward_method(net, method)


def is_sharded(net: nn.Module) -> bool:
    """Whether `shard` has been here."""
    from torch.distributed.fsdp import FSDPModule

    return isinstance(net, FSDPModule)
