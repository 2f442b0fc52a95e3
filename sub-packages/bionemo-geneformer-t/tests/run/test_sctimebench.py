"""Our method as scTimeBench runs it, on a set of its own format made from real cells."""

import pickle
import sys

import anndata
import numpy as np
import pytest
import yaml

pytest.importorskip("scTimeBench", reason="the extra sctimebench is not installed")

from scTimeBench.method_utils.method_runner import main
from scTimeBench.shared.constants import RequiredOutputFiles
from scTimeBench.shared.dataset.preprocessors.percentile_split import PercentileSplitTrainTest
from scTimeBench.shared.dataset.registry.ma import MaDataset

from bionemo.geneformer_t.run.sctimebench import TIME, GeneformerT

SMALL = {
    "seq_length": 128, "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16, "max_steps": 3, "num_workers": 0, "accelerator": "cpu",
}  # fmt: skip
WANTED = {
    "EMBEDDING", "NEXT_TIMEPOINT_EMBEDDING", "NEXT_TIMEPOINT_GENE_EXPRESSION",
    "FROM_ZERO_TO_END_PRED_GEX",
}  # fmt: skip


@pytest.fixture
def benchmark_yaml(real_data, tmp_path):
    """What scTimeBench hands to a method: a pickled dataset, and where to write."""
    cells = anndata.read_h5ad(real_data / "ipsc_cm_human.h5ad")[:, :800]
    cells = cells[cells.obs["day"].isin(["D0", "D6", "D10"])]
    time = cells.obs["day"].str.removeprefix("D").astype(float).to_numpy()
    cells = anndata.AnnData(
        cells.X, var=cells.var[[]],
        obs={"cell_type": cells.obs["day"].astype(str).to_numpy(), "timepoint": time},
    )  # fmt: skip
    cells.obs_names_make_unique()
    cells.write_h5ad(tmp_path / "set.h5ad")
    settings = {"name": "MaDataset", "data_path": str(tmp_path / "set.h5ad")}
    dataset = MaDataset(settings, [PercentileSplitTrainTest(settings, 0.8)], str(tmp_path))
    (tmp_path / "dataset.pkl").write_bytes(pickle.dumps(dataset))
    (tmp_path / "out").mkdir()
    content = {
        "output_path": str(tmp_path / "out"),
        "dataset_pkl_path": str(tmp_path / "dataset.pkl"),
        "required_outputs": [RequiredOutputFiles[name].value for name in sorted(WANTED)],
        "method": {"name": "GeneformerT", "metadata": SMALL},
    }
    path = tmp_path / "method_config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")  # anndata's, of scTimeBench's renaming
def test_it_trains_and_writes_what_the_benchmark_asks_for(benchmark_yaml, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["method", "--yaml_config", str(benchmark_yaml)])
    main(GeneformerT)
    out = benchmark_yaml.parent / "out"
    current, following, counts = (
        np.load(out / RequiredOutputFiles[name].value)
        for name in ("EMBEDDING", "NEXT_TIMEPOINT_EMBEDDING", "NEXT_TIMEPOINT_GENE_EXPRESSION")
    )
    assert current.shape == following.shape == (len(counts), 16)
    assert counts.shape[1] == 800
    assert not np.allclose(current, following)
    for found in (current, following, counts):
        assert np.isfinite(found).all()
    assert (counts.sum(axis=1) > 0).all()
    rollout = anndata.read_h5ad(out / RequiredOutputFiles.FROM_ZERO_TO_END_PRED_GEX.value)
    assert sorted(rollout.obs[TIME].unique()) == [0, 6, 10]
    assert rollout.obs[TIME].value_counts().nunique() == 1
    assert (out / "geneformer_t" / "run" / "checkpoints" / "last.ckpt").is_file()
