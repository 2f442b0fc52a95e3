"""What all tests share: small real objects, and the optional real data."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anndata
import jaxtyping
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import settings

# the same examples in every run; a slow machine is no failure
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

REPOSITORY = Path(__file__).resolve().parents[3]

# Shapes and types are verified in modules with arrays in their signatures, which takes half of the
# tests' time there; all others are mypy's. Nothing of the package may be imported before.
SOURCE = REPOSITORY / "sub-packages" / "bionemo-geneformer-t" / "src"
with_arrays = [
    ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    for path in (SOURCE / "bionemo" / "geneformer_t").rglob("*.py")
    if "from jaxtyping import" in path.read_text(encoding="utf-8")
]
jaxtyping.install_import_hook(with_arrays, "beartype.beartype")

# moscot compiles one program for each pair of sizes of time points: once for all tests of a
# process; JAX writes the files in place, where another process would read half of one
JAX_CACHE = Path(tempfile.gettempdir()) / "geneformer_t_jax_cache"
JAX_CACHE /= os.environ.get("PYTEST_XDIST_WORKER", "one")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(JAX_CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that no process is left with one of them when the others are done."""
    longest = {
        "test_pages.py", "test_documents.py", "test_training_runs.py", "test_exact_resume.py",
        "test_prepare_leaks.py", "test_demo.py",
    }  # fmt: skip
    items.sort(key=lambda item: item.path.name not in longest)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """A process on each core that this one may use; more than four need memory and save nothing."""
    return min(4, len(os.sched_getaffinity(0)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """One thread in each of them, and in what they start: a second one would only wait."""
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")


@pytest.fixture(autouse=True)
def _numbers_of_its_own(request: pytest.FixtureRequest) -> None:
    """A module's generator starts anew for each test, whichever tests ran before in its process."""
    if hasattr(request.module, "RNG"):
        request.module.RNG = np.random.default_rng(0)


@pytest.fixture
def without_type_checks() -> Iterator[None]:
    """As users run it: the type checks of the tests would refuse values of other types first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session", autouse=True)
def auto_pairs() -> Iterator[int]:
    """`time_method auto` takes mutual neighbors, but in tests with the mark `optimal_transport`.

    moscot traces and compiles programs for each pair of sizes of time points: half a minute for a
    small data set, and little less where they were compiled before. `ot` itself is as everywhere.
    """
    from bionemo.geneformer_t.neighbors import time_neighbors

    outside_the_tests = time_neighbors.AUTO_PAIRS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time_neighbors, "AUTO_PAIRS", 0)
        yield outside_the_tests


@pytest.fixture(autouse=True)
def _optimal_transport(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, auto_pairs: int
) -> None:
    if request.node.get_closest_marker("optimal_transport") is not None:
        from bionemo.geneformer_t.neighbors import time_neighbors

        monkeypatch.setattr(time_neighbors, "AUTO_PAIRS", auto_pairs)


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = Path(os.environ.get("GENEFORMER_T_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not here: no folder {folder}")
    return folder


@pytest.fixture(scope="session")
def example_cells() -> anndata.AnnData:
    """Raw counts of a small differentiation, with the columns of obs that the docs name."""
    from bionemo.geneformer_t.simulation import SimulationSettings, simulate

    settings = SimulationSettings(num_cells=300, num_genes=120, counts_per_cell=600.0)
    simulation = simulate(settings, np.random.default_rng(0))
    branches = np.array(simulation.programmes.tree.names)
    names = [f"cell_{i}" for i in range(settings.num_cells)]
    obs = pd.DataFrame(
        {
            "day": [f"D{int(2 * time)}" for time in simulation.pseudotime],
            "cell_type": pd.Categorical(branches[simulation.branch]),
            "donor": [f"donor_{i % 5}" for i in range(settings.num_cells)],
            "pseudotime": simulation.pseudotime,
        },
        index=names,
    )
    var = pd.DataFrame(
        {"feature_id": simulation.gene_ids}, index=[f"GENE{i}" for i in range(settings.num_genes)]
    )
    return anndata.AnnData(simulation.counts, obs=obs, var=var)


@pytest.fixture(scope="session")
def tiny_data_dir_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `tiny_data_dir` copies; all others take copies and leave it alone."""
    from bionemo.geneformer_t.vocab import GeneVocab

    folder = tmp_path_factory.mktemp("tiny") / "data"
    rng = np.random.default_rng(0)
    genes = [f"ENSG{i:011d}" for i in range(30)]
    vocab = GeneVocab.of_genes(
        {gene: float(rng.uniform(0.5, 3)) for gene in genes[:28]},
        {f"GENE{i}": gene for i, gene in enumerate(genes[:28])},
    )
    for split, num_cells in {"train": 40, "val": 16, "test": 16}.items():
        time = np.linspace(0, 1, num_cells)[:, None]
        late = np.arange(30)[None, :] % 2
        mean = 0.3 + 5 * np.where(late == 1, time, 1 - time)
        counts = rng.poisson(mean).astype(np.float32)
        counts[:, 0] += 1  # no cell is empty
        cells = [f"{split}_{i}" for i in range(num_cells)]
        next_cells = {
            cell: cells[i + 1 : i + 3] for i, cell in enumerate(cells) if i + 1 < num_cells
        }
        weighted = {
            cell: {successor: 1.0 / (1 + r) for r, successor in enumerate(successors)}
            for cell, successors in next_cells.items()
        }
        (folder / split).mkdir(parents=True)
        anndata.AnnData(
            sp.csr_matrix(counts),
            obs=pd.DataFrame({"day": np.repeat([0, 1], num_cells // 2)}, index=cells),
            var=pd.DataFrame({"feature_id": genes}, index=[f"GENE{i}" for i in range(30)]),
        ).write_h5ad(folder / split / "data.h5ad")
        graphs = {
            "next_cell_ids": next_cells,
            "trajectory_neighbors": next_cells,
            "temporal_neighbors": weighted,
        }
        (folder / split / "neighbors.json").write_text(json.dumps(graphs))
        vocab.write(folder / split / "geneformer.vocab", folder / split / "medians.json")
    return folder


@pytest.fixture
def tiny_data_dir(tiny_data_dir_template: Path, tmp_path: Path) -> Path:
    """A data folder of 40, 16 and 16 cells x 30 genes, 28 of them known to the vocabulary.

    Cell i is followed by cells i + 1 and i + 2; the last cell by none. The keys of neighbors.json
    are next_cell_ids, trajectory_neighbors and temporal_neighbors (with weights 1 and 1/2).
    """
    folder = tmp_path / "tiny_data"
    shutil.copytree(tiny_data_dir_template, folder)
    return folder


@pytest.fixture
def untrained_checkpoint(tiny_data_dir, tmp_path) -> Path:
    """A checkpoint of a model with random weights: enough where skill does not matter."""
    import lightning as L
    import torch

    from bionemo.geneformer_t.config import BioBertConfig, PairSettings
    from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
    from bionemo.geneformer_t.vocab import GeneVocab

    folder = tiny_data_dir / "train"
    vocab = GeneVocab.read(folder / "geneformer.vocab", folder / "medians.json")
    torch.manual_seed(0)
    model = TemporalGeneformerModel(
        BioBertConfig(
            vocab_size=len(vocab), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=64,
        )
    )  # fmt: skip
    model.adopt(vocab, PairSettings(seq_length=64))
    trainer = L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(model)
    path = tmp_path / "run" / "checkpoints" / "model.ckpt"
    trainer.save_checkpoint(path)
    return path
