import math

import torch

from bionemo.geneformer_t.inference.pooling import GeneSums, first_token, mean_of_genes

HIDDEN = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 8.0], [9.0, 9.0], [7.0, 7.0], [2.0, 0.0]])
OFFSETS = torch.tensor([0, 4, 6])
IS_GENE = torch.tensor([False, True, True, False, False, True])


def test_the_mean_is_over_the_genes_of_each_cell_alone():
    expected = torch.tensor([[4.0, 6.0], [2.0, 0.0]])
    assert torch.equal(mean_of_genes(HIDDEN, OFFSETS, IS_GENE), expected)
    noise = HIDDEN + 100 * ~IS_GENE[:, None]
    assert torch.equal(mean_of_genes(noise, OFFSETS, IS_GENE), expected)


def test_cls_is_the_first_token():
    assert torch.equal(first_token(HIDDEN, OFFSETS, IS_GENE), HIDDEN[[0, 4]])


def test_gene_means_are_over_all_batches_and_nan_where_nothing_was_seen():
    genes = GeneSums.zeros(4, 2, torch.device("cpu"))
    genes.add(torch.tensor([1, 2, 1]), HIDDEN[:3])
    genes.add(torch.tensor([1]), HIDDEN[3:4])
    means = genes.means()
    torch.testing.assert_close(means[1], torch.tensor([5.0, 19 / 3], dtype=torch.float64))
    assert means[2].tolist() == [3.0, 4.0]
    assert all(math.isnan(value) for row in (0, 3) for value in means[row])
