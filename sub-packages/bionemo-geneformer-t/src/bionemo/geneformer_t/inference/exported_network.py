"""The network as other tools have it: without the memory, and with one bias for all ranks.

`BertForMaskedLM` has one bias. Of a bias by rank it can take up the part that is constant over
ranks: the logarithm of the gene frequencies over all ranks, the one distribution that is nearest to
those at each rank (the mean of distributions has the least mean Kullback-Leibler divergence from
them; Banerjee et al. 2005). What changes from rank to rank is lost.
"""

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from bionemo.geneformer_t.model.next_cell_model import NextCellModel, settings_of
from bionemo.geneformer_t.model.time_gap import TIME_GAP
from bionemo.geneformer_t.model.weights.pretrained import BIAS, RANK_BIAS


@torch.no_grad()
def folded_bias(model: NextCellModel) -> Float[Tensor, " vocab"]:
    """The bias of the head, with the constant part of the bias by rank added.

    The mean is over the ranks that the model was trained to predict, and over genes.
    """
    head = model.net.cls.predictions
    bias: Tensor = head.decoder.bias.detach()
    if head.rank_bias is None or model.objective == "mlm":
        return bias
    ranks = torch.arange(1, settings_of(model).genes_per_cell + 1, device=bias.device)
    genes = torch.from_numpy(model.required_vocab().gene_ids).to(bias.device)
    at_ranks: Tensor = head.rank_bias(ranks)
    logs = at_ranks - at_ranks[:, genes].logsumexp(dim=1, keepdim=True)
    return bias + logs.logsumexp(dim=0) - math.log(len(ranks))


def exported_network(model: NextCellModel) -> NextCellModel:
    """What `export` writes, as a model: without memory, bias by rank and time gaps."""
    config = replace(model.config, rank_knots=0, time_gaps=False)
    alone = NextCellModel(config, model.attention_backend)
    state = {**model.net.state_dict(), BIAS: folded_bias(model)}
    own = (*RANK_BIAS, TIME_GAP)
    alone.net.load_state_dict({n: t for n, t in state.items() if not n.startswith(own)})
    alone.adopt(model.required_vocab(), settings_of(model))
    alone.precision = model.precision
    return alone.to(model.device).eval()
