"""Wrong settings are refused with the numbers in the message."""

import pytest

from bionemo.geneformer_t.config import BioBertConfig, PairSettings, positions_needed


def test_the_defaults_are_the_specifications():
    config = BioBertConfig()
    assert (config.vocab_size, config.max_position_embeddings) == (25426, 2048)
    assert (config.hidden_size, config.num_hidden_layers) == (512, 8)
    assert (config.num_attention_heads, config.intermediate_size) == (8, 2048)
    assert config.hidden_dropout_prob == config.attention_probs_dropout_prob == 0.1


def test_both_cells_and_three_specials_fit_in_seq_length():
    for length in (5, 6, 7, 2048):
        assert 2 * PairSettings(seq_length=length).genes_per_cell + 3 in {length, length - 1}


def test_one_cell_has_the_whole_seq_length_under_mlm():
    settings = PairSettings(objective="mlm", seq_length=64)
    assert settings.genes_per_cell == 62
    assert positions_needed(settings, "continued") == positions_needed(settings, "restarted") == 64


def test_pairs_with_restarted_positions_need_those_of_the_longer_cell():
    settings = PairSettings(seq_length=64)  # 30 genes in each cell, [CLS] and [SEP]
    assert positions_needed(settings, "continued") == 64
    assert positions_needed(settings, "restarted") == 32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_attention_heads": 7}, "7 heads for a hidden size of 512"),
        ({"hidden_size": 0}, "hidden_size must be positive; got 0"),
        ({"hidden_dropout_prob": 1.0}, r"hidden_dropout_prob must be in \[0, 1\)"),
    ],
)
def test_impossible_models_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        BioBertConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seq_length": 4}, "seq_length must be at least 5"),
        ({"mask_prob": 0.0}, r"mask_prob must be in \(0, 1\]"),
        ({"mask_token_prob": -0.1}, "mask_token_prob must be in"),
        ({"mask_token_prob": 0.8, "random_token_prob": 0.3}, "must not exceed 1; got 0.8 [+] 0.3"),
        ({"next_cells_per_cell": 0}, "next_cells_per_cell must be positive"),
        ({"target_sum": 0.0}, "target_sum must be positive"),
    ],
)
def test_impossible_pairs_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PairSettings(**settings)


@pytest.mark.usefixtures("without_type_checks")
def test_an_unknown_choice_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"one of 'skip', 'identity', 'random'.*; got 'drop'"):
        PairSettings(no_neighbor_policy="drop")


def test_cells_without_neighbors_are_left_out_unless_they_are_asked_for():
    assert PairSettings().no_neighbor_policy == "skip"
    assert PairSettings(only_cells_with_neighbors=False).no_neighbor_policy == "identity"
    old = {"only_cells_with_neighbors": False, "no_neighbor_policy": "skip"}  # as was recorded
    assert PairSettings.from_dict(old).no_neighbor_policy == "skip"


def test_settings_survive_a_checkpoint():
    config = BioBertConfig(hidden_size=64, position_scheme="restarted")
    assert BioBertConfig.from_dict(config.to_dict()) == config
    pairs = PairSettings(seq_length=99, successor_sampling="uniform")
    assert PairSettings.from_dict(pairs.to_dict()) == pairs
