"""Steps with compiled layers beside plain ones: `compiled_script.py DEVICE BACKEND RECOMPUTE ...`.

A third word of an option, as in `nothing:onednn:bf16-mixed`, is the precision, the second the
library of products in float32, which compiled layers leave to PyTorch.

They are in a process of their own, where shapes are not checked, for `torch.compile` cannot look
through the checks. On a CPU, whose backends are compiled around, a plain operator stands in for
those of GPUs.
"""

import sys
from functools import partial

import torch
import torch.nn.functional as F
from small_steps import pairs_of, small_config, step
from textbook import packed

from bionemo.geneformer_t.model import layer, products
from bionemo.geneformer_t.model.attention.cell_offsets import per_query_segment
from bionemo.geneformer_t.model.attention.choose import choose_attention
from bionemo.geneformer_t.model.network import NextCellBert

BATCHES = [
    [(40, 30, 5), (3, 60, 60)],
    [(17, 17, 3), (60, 60, 9), (9, 5, 2)],
    [(61, 2, 1), (2, 9, 9)],
]
"""Genes of the current cell, of the next cell, and how many of these are scored."""


@per_query_segment
def attend_gathered(query, key, value, query_groups, key_groups, dropout_prob=0.0):
    """Cells padded to the longest by gathering, and the tokens gathered back."""
    padded = [
        x[(g.short_offsets[:-1, None] + torch.arange(g.longest)).clamp(max=len(x) - 1)]
        for x, g in ((query, query_groups), (key, key_groups), (value, key_groups))
    ]
    is_key = torch.arange(key_groups.longest) < key_groups.short_offsets.diff()[:, None]
    attended = F.scaled_dot_product_attention(
        *(x.transpose(1, 2) for x in padded), is_key[:, None, None], dropout_prob
    ).transpose(1, 2)
    token = torch.arange(len(query), dtype=torch.int32)
    group = torch.searchsorted(query_groups.short_offsets, token, right=True) - 1
    return attended[group, token - query_groups.short_offsets[group]]


def compare(device: str, recompute: str, engine: str = "auto", precision: str = "float32") -> None:
    """Raise where a compiled step differs, or where another batch is compiled anew."""
    is_short = precision == "bf16-mixed"
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    attend = attend_gathered
    if device == "cpu":
        layer.OPERATORS = frozenset({attend_gathered})
    else:
        attend = choose_attention("auto", torch.device(device), head_dim=8)
        assert attend in layer.OPERATORS
    torch.manual_seed(0)
    config = small_config()
    plain = NextCellBert(config)
    compiled = NextCellBert(config)
    compiled.load_state_dict(plain.state_dict())
    plain.to(device), compiled.to(device)
    for net in (plain, compiled):
        net.set_matmul_backend(engine)
    compiled.set_recompute(recompute)
    compiled.compile_layers()
    graphs = []
    for sizes in BATCHES:
        batch = packed(pairs_of(sizes)).to(device)
        with torch.autocast(device, torch.bfloat16, enabled=is_short):
            expected, found = step(plain, batch, attend), step(compiled, batch, attend)
        for name, value in found.items():
            torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)
        graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    breaks = dict(torch._dynamo.utils.counters["graph_break"])
    print(f"graphs after each batch {graphs}, breaks {breaks}")
    assert graphs == 3 * [2], graphs  # one for the last layer, one for the others
    assert not breaks, breaks


if __name__ == "__main__":
    device, backend, *options = sys.argv[1:]
    torch.compile = partial(torch.compile, backend=backend)
    products.FEWEST_MULTIPLY_ADDS = 0  # small products go where large ones do
    for option in options:
        compare(device, *option.split(":"))
