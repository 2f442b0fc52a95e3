from bionemo.geneformer_t.provenance import Provenance

TRAINED = Provenance(
    data_name="mine",
    data_fingerprint="ab",
    graph_fingerprint="cd",
    neighbor_key="next_cell_ids",
    num_cells=3,
    num_examples=2,
    num_edges=2,
    seed=1,
)


def test_plain_values_bring_it_back():
    values = TRAINED.to_dict()
    assert {type(value) for value in values.values()} == {str, int, bool, type(None)}
    assert Provenance.from_dict(values) == TRAINED


def test_what_only_a_newer_version_records_is_left_out():
    assert Provenance.from_dict({**TRAINED.to_dict(), "weather": "fine"}) == TRAINED
