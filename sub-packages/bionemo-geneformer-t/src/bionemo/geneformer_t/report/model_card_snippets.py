"""The Python of a model card: an exported model in `transformers` alone."""

from bionemo.geneformer_t.config import PositionScheme
from bionemo.geneformer_t.data.folder import VOCAB
from bionemo.geneformer_t.inference.cell_framing import Reading

_POSITIONS = {
    "continued": "torch.arange(len(ids))",
    "restarted": "torch.cat([torch.arange(num_context), torch.arange(1, num_ranks + 1)])",
}
"""Position scheme -> the positions of a pair."""


def plain_snippet(reading: Reading) -> str:
    """One cell through the model as an ordinary BERT: hidden states and logits."""
    before = 'tokens["[CLS]"], ' if reading.before else ""
    after = ', tokens["[SEP]"]' if reading.after else ""
    return f'''\
import json
from pathlib import Path

import torch
from transformers import BertForMaskedLM

FOLDER = "."
model = BertForMaskedLM.from_pretrained(FOLDER).eval()
tokens = json.loads((Path(FOLDER) / "{VOCAB}").read_text())["vocab"]
names = {{i: token for token, i in tokens.items()}}

# A current cell: genes of the vocabulary, the highest rank value first.
genes = [gene for gene in tokens if gene[0] != "["][:5]
current_cell = [tokens[gene] for gene in genes]
context = [{before}*current_cell{after}]

with torch.no_grad():
    plain = model(torch.tensor([context]), output_hidden_states=True)
cell_embedding = plain.hidden_states[-2][0][
    [i for i, token in enumerate(context) if token in current_cell]
].mean(0)
print(cell_embedding.shape, plain.logits.shape)
'''


def next_cell_snippet(position_scheme: PositionScheme) -> str:
    """The next cell of the cell above: the 4-D mask, token types and positions written out."""
    return f"""\
num_ranks = 10
num_context = len(context)
ids = torch.tensor(context + [tokens["[MASK]"]] * num_ranks)
token_types = (torch.arange(len(ids)) >= num_context).long()
positions = {_POSITIONS[position_scheme]}
# [batch, head, query, key]: 0 where a position may look, minus infinity where it may not.
mask = torch.zeros(1, 1, len(ids), len(ids))
mask[..., num_context:] = torch.finfo(mask.dtype).min

with torch.no_grad():
    logits = model(
        ids[None],
        attention_mask=mask,
        token_type_ids=token_types[None],
        position_ids=positions[None],
    ).logits[0, num_context:]
is_gene = torch.tensor([names[i][0] != "[" for i in range(len(names))])
probabilities = logits.masked_fill(~is_gene, -torch.inf).softmax(-1)
for rank, gene in enumerate(probabilities.argmax(-1).tolist(), start=1):
    print(rank, names[gene], f"{{probabilities[rank - 1, gene]:.3f}}")
"""
