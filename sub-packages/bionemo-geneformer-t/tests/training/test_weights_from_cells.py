"""What training cells say before any training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.sampling import generator
from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.evaluate.baselines.training_folds import TrainingPairs
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.inference.rank_distributions import model_predictor
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.training.initial_weights import start_model
from bionemo.geneformer_t.training.settings import TrainSettings
from bionemo.geneformer_t.training.weights_from_cells import (
    expression_axes,
    gene_features,
    gene_lowness,
    log_expression,
    rank_frequencies,
    set_weights_from_cells,
)


@pytest.fixture
def dataset(tiny_data_dir) -> TemporalGeneformerDataset:
    return TemporalGeneformerDataset.from_folder(
        tiny_data_dir / "train", settings=PairSettings(seq_length=23)
    )


def test_frequencies_at_each_rank_are_those_of_the_tuned_baseline(dataset) -> None:
    table = rank_frequencies(dataset)
    pairs = CellPairs.from_dataset(dataset)
    tuned = TrainingPairs.of(pairs, generator(dataset.settings.seed, 0, -1)).frequencies
    np.testing.assert_array_equal(table, tuned.table)
    assert table.shape == (dataset.settings.genes_per_cell, len(dataset.vocab))
    np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-5)
    assert (table[:, dataset.vocab.gene_ids] > 0).all()


def test_without_successors_the_frequencies_are_those_of_the_cells_themselves(tiny_data_dir):
    alone = TemporalGeneformerDataset.from_folder(
        tiny_data_dir / "train", settings=PairSettings(seq_length=23, objective="mlm")
    )
    table = rank_frequencies(alone)
    pairs = CellPairs.of_cells_themselves(alone)
    assert pairs.current.tolist() == pairs.following.tolist() == alone.cells.tolist()
    tuned = TrainingPairs.of(pairs, generator(alone.settings.seed, 0, -1)).frequencies
    np.testing.assert_array_equal(table, tuned.table)


GRADED = ("layer.0.attention.self.query", "layer.0.attention.self.key")
"""What the heads of the first layer are graded by."""


def started(data_dir: Path, **given: Any) -> TemporalGeneformerModel:
    """A model whose weights come from the training cells, before its first step."""
    sizes = {"seq_length": 23, "hidden_size": 32, "num_layers": 2, "num_attention_heads": 2}
    settings = TrainSettings(
        data_dir=data_dir, output_dir=data_dir / "run", intermediate_size=64, rank_knots=8,
        position_scheme="restarted", gene_embeddings="expression", **{**sizes, **given},
    )  # fmt: skip
    data = TemporalGeneformerDataModule(data_dir, settings.pair_settings())
    data.prepare_data()
    data.setup("fit")
    torch.manual_seed(0)
    model = start_model(settings, data.vocab, None)
    model.adopt(data.vocab, data.settings)
    set_weights_from_cells(settings, model, data)
    return model


def test_the_first_predictions_are_the_gene_frequencies(tiny_data_dir) -> None:
    model = started(tiny_data_dir)
    vocab = model.required_vocab()
    cells = [vocab.gene_ids[:5], vocab.gene_ids[3:12]]
    found = model_predictor(model)(cells, 10)
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)
    knots = model.net.cls.predictions.rank_bias.knots.numpy()
    dataset = TemporalGeneformerDataset.from_folder(
        tiny_data_dir / "train", settings=model.pair_settings
    )
    table = rank_frequencies(dataset)
    for rank in knots[knots <= 10]:
        expected = np.log(table[rank - 1, vocab.gene_ids])
        np.testing.assert_allclose(found[0, rank - 1, vocab.gene_ids], expected, atol=1e-4)


def test_linear_maps_of_layers_keep_the_scale_of_what_goes_through(tiny_data_dir) -> None:
    for name, weight in started(tiny_data_dir).net.bert.encoder.named_parameters():
        if weight.ndim == 2 and not name.startswith(GRADED):
            expected = weight.shape[1] ** -0.5
            assert weight.std().item() == pytest.approx(expected, rel=0.1), name


def test_the_head_learns_from_its_first_step_and_the_layers_from_the_second(tiny_data_dir) -> None:
    """A map that starts at zero must not stay there, nor cut the layers off."""
    model = started(tiny_data_dir, dropout_prob=0.0)
    data = TemporalGeneformerDataModule(tiny_data_dir, model.pair_settings)
    batch = data.train.batch([(0, 0), (0, 1), (0, 2), (0, 3)])
    head = model.net.cls.predictions.transform.dense.weight
    layer = model.net.bert.encoder.layer[0].attention.self.value.weight
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    gradients = []
    for _ in range(2):
        optimizer.zero_grad()
        model.summed_loss(batch).backward()
        gradients.append((head.grad.abs().max().item(), layer.grad.abs().max().item()))
        optimizer.step()
    assert gradients[0][0] > 0
    assert gradients[0][1] == 0
    assert gradients[1][1] > 0


def test_near_ranks_start_alike_and_genes_and_ranks_have_columns_of_their_own(tiny_data_dir):
    model = started(tiny_data_dir, seq_length=203)
    embeddings = model.net.bert.embeddings
    ranks = embeddings.position_embeddings.weight.detach()
    assert not ranks[:, :16].any()
    cells = TemporalGeneformerDataset.from_folder(tiny_data_dir / "train").tokens
    last = int(np.max(cells.num_genes))
    used = ranks[1 : last + 1, 16:]
    assert used.std().item() == pytest.approx(32**-0.5, rel=1e-3)
    apart = torch.cdist(used, used)
    half = last // 2  # below it, ranks that are next to each other are nearer than others
    assert (apart[half:, half:].fill_diagonal_(torch.inf).argmin(1).diff().abs() <= 2).all()
    assert apart.diagonal(1)[half:].max() < 0.5 * apart[0, half:].min()
    genes = embeddings.word_embeddings.weight.detach()[model.required_vocab().gene_ids]
    expressed = genes[(genes[:, :15].abs() > 0.2).any(1), :15]
    assert len(expressed) > 0.5 * len(genes)
    assert genes[:, :15].std().item() == pytest.approx(32**-0.5, rel=0.1)
    assert genes[:, 16:].std().item() == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("sizes", [(32, 2), (256, 4), (32, 1)])
def test_heads_of_the_first_layer_see_ever_fewer_genes_below_the_top(tiny_data_dir, sizes) -> None:
    """The mean rank that a head attends to falls from head to head."""
    width, heads = sizes
    model = started(tiny_data_dir, hidden_size=width, num_attention_heads=heads)
    vocab, last = model.required_vocab(), 10
    attention = model.net.bert.encoder.layer[0].attention.self
    embeddings = model.net.bert.embeddings.eval()
    ids = torch.from_numpy(vocab.gene_ids)
    means = np.zeros(heads)
    for shift in range(len(ids)):  # every gene at every rank
        cell = ids.roll(shift)[:last]
        hidden = embeddings(cell, torch.arange(1, last + 1), torch.zeros_like(cell))
        for head in range(heads):
            first = head * width // heads
            logits = hidden @ attention.key.weight[first] * attention.query.bias[first]
            weights = (logits / (width / heads) ** 0.5).softmax(0)
            means[head] += (weights @ torch.arange(1.0, last + 1)).item() / len(ids)
    assert means[0] == pytest.approx((last + 1) / 2, rel=1e-3)
    assert (np.diff(means) < -0.1).all()


def test_the_shortest_cells_start_with_finite_weights(tiny_data_dir) -> None:
    for name, weight in started(tiny_data_dir, seq_length=5).net.named_parameters():
        assert weight.isfinite().all(), name


def test_a_genes_lowness_is_its_mean_place_and_what_no_cell_expresses_is_lowest(dataset) -> None:
    lowness = gene_lowness(dataset, seed=0)
    cells = [dataset.tokens.encode(cell) for cell in range(len(dataset.tokens))]
    places = np.ones((len(cells), len(dataset.vocab)))
    for row, genes in zip(places, cells, strict=True):
        row[genes] = np.sqrt(np.arange(1, len(genes) + 1) / len(genes))
    mean = places.mean(axis=0)
    times = np.bincount(np.concatenate(cells), minlength=len(mean))
    center = np.average(mean, weights=times)
    spread = np.sqrt(np.average((mean - center) ** 2, weights=times))
    expected = np.clip((mean - center) / spread, -3, 3)
    np.testing.assert_allclose(lowness, expected, atol=1e-5)
    assert lowness[times == 0].min() == lowness.max()


def test_features_are_axes_times_polynomials_of_the_lowness(dataset) -> None:
    features = gene_features(dataset, 6, seed=0)
    axes, low = expression_axes(dataset, 2, seed=0), gene_lowness(dataset, seed=0)
    np.testing.assert_array_equal(features[:, :2], axes)
    np.testing.assert_allclose(features[:, 2:4], axes * low[:, None], rtol=1e-6)
    np.testing.assert_allclose(
        features[:, 4:], axes * ((low**2 - 1) / np.sqrt(2))[:, None], rtol=1e-5
    )


def test_expression_is_per_ten_thousand_in_logs(dataset) -> None:
    table = log_expression(
        dataset.tokens, *dataset.tokens.store.rows_of(np.arange(5)), len(dataset.vocab)
    ).toarray()
    np.testing.assert_allclose(np.expm1(table).sum(axis=1), 1e4, rtol=1e-4)


def test_axes_are_those_of_the_dense_singular_value_decomposition(dataset) -> None:
    size = len(dataset.vocab)
    axes = expression_axes(dataset, 3, seed=0)
    dense = log_expression(
        dataset.tokens, *dataset.tokens.store.rows_of(np.arange(len(dataset.tokens))), size
    ).toarray()
    scaled = dense / (dense.std(axis=0) + 0.1)
    _, values, rows = np.linalg.svd(scaled - scaled.mean(axis=0), full_matrices=False)
    expected = rows[:3].T * values[:3]
    signs = np.sign((axes * expected).sum(axis=0))
    np.testing.assert_allclose(axes * signs, expected, atol=1e-2 * values[0])


def test_genes_that_rise_and_fall_together_get_similar_rows(dataset) -> None:
    """The tiny cells' odd genes rise with time and the even ones fall."""
    axes = expression_axes(dataset, 1, seed=0)[:, 0]
    names = dataset.vocab.tokens
    late = np.array([name.startswith("ENSG") and int(name[4:]) % 2 == 1 for name in names])
    early = np.array([name.startswith("ENSG") and int(name[4:]) % 2 == 0 for name in names])
    assert np.sign(axes[late].mean()) != np.sign(axes[early].mean())


def test_few_cells_give_few_axes(dataset) -> None:
    assert expression_axes(dataset, 500, seed=0).shape[1] < 40
