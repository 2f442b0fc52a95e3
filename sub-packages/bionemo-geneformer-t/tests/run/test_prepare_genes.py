"""What `prepare` says of genes is what training and prediction read."""

import json
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.run.prepare import prepare
from bionemo.geneformer_t.vocab import SPECIAL_TOKENS, GeneVocab

IDS = [f"ENSG{100000 + i:011d}" for i in range(40)]
SYMBOLS = [f"GENE{i}" for i in range(40)]
COUNTS = np.random.default_rng(0).poisson(2, (60, 40)).astype(np.float32)


def write(path: Path, counts: np.ndarray, seed: int = 0, **var: Any) -> Path:
    index = var.pop("index", SYMBOLS)
    obs = pd.DataFrame(index=[f"c{seed}_{i}" for i in range(len(counts))])
    cells = anndata.AnnData(sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(var, index=index))
    cells.write_h5ad(path)
    return path


def run(inputs: list[Path], folder: Path, **settings: Any) -> anndata.AnnData:
    """Prepare a folder whose cells are all training cells, and read these."""
    made = prepare(
        input=tuple(inputs), output_dir=folder / "data", method=("knn",), num_components=5,
        val_fraction=0, test_fraction=0, pictures=False, **settings,
    )  # fmt: skip
    return anndata.read_h5ad(made / "train" / "data.h5ad")


def training(folder: Path) -> CellTokens:
    split = folder / "data" / "train"
    vocab = GeneVocab.read(split / "geneformer.vocab", split / "medians.json")
    return CellTokens(CellStore.open(split), vocab, PairSettings())


def test_genes_without_an_id_stay_apart(tmp_path: Path) -> None:
    ids = pd.Series(IDS, index=SYMBOLS, dtype=object)
    ids.iloc[5::4] = np.nan
    cells = run([write(tmp_path / "a.h5ad", COUNTS, ensembl_id=ids)], tmp_path)
    names = [symbol if i in range(5, 40, 4) else IDS[i] for i, symbol in enumerate(SYMBOLS)]
    assert cells.var["feature_id"].tolist() == names
    assert (cells.X.toarray() == COUNTS).all()
    assert training(tmp_path).num_genes_known == 40


def test_one_input_by_symbol_and_one_by_id_have_the_same_genes(tmp_path: Path) -> None:
    first = write(tmp_path / "a.h5ad", COUNTS, gene_ids=IDS)
    second = write(tmp_path / "b.h5ad", COUNTS + 1, 1, index=IDS, feature_name=SYMBOLS)
    cells = run([first, second], tmp_path)
    assert cells.var["feature_id"].tolist() == IDS
    assert (cells.X.toarray() == np.concatenate([COUNTS, COUNTS + 1])).all()


@pytest.mark.parametrize("by_id_first", [True, False])
def test_symbols_of_several_inputs_are_kept_and_read_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], by_id_first: bool
) -> None:
    """The second input has ten genes more, and another symbol for one that both have."""
    other = ["OTHER0", *SYMBOLS[1:]]
    by_id = {"index": IDS, "feature_name": other}
    by_symbol = {"index": SYMBOLS, "gene_ids": IDS}
    first, second = (by_id, by_symbol) if by_id_first else (by_symbol, by_id)
    few = {name: values[:30] for name, values in first.items()}
    inputs = [
        write(tmp_path / "a.h5ad", COUNTS[:, :30], **few),
        write(tmp_path / "b.h5ad", COUNTS + 1, 1, **second),
    ]
    cells = run(inputs, tmp_path)
    expected = other if by_id_first else SYMBOLS
    assert cells.var["feature_id"].tolist() == IDS
    assert cells.var["feature_name"].tolist() == expected
    tokens = training(tmp_path)
    assert tokens.num_genes_known == 40
    assert list(tokens.store.genes.symbols) == expected
    report = " ".join(capsys.readouterr().out.split())
    assert "1 genes have another symbol in another input" in report


def test_inputs_of_other_genes_are_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "a.h5ad", COUNTS)
    second = write(tmp_path / "b.h5ad", COUNTS, 1, index=[f"Gene{i}" for i in range(40)])
    with pytest.raises(ValueError, match=r"a\.h5ad and .*b\.h5ad share 0 of 40 and 40 genes"):
        run([first, second], tmp_path, min_shared_genes=0.0)


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_antibodies_and_spike_ins_are_no_genes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    symbols = [*SYMBOLS[:39], "CD4", "CD4", "Hash1", "ERCC-00002"]
    others = np.random.default_rng(1).poisson(400, (60, 3)).astype(np.float32)
    path = write(
        tmp_path / "a.h5ad", np.hstack([COUNTS, others]), index=symbols,
        gene_ids=[*IDS, "CD4", "Hash1", "ERCC-00002"],
        feature_types=["Gene Expression"] * 40
        + ["Antibody Capture", "Multiplexing Capture", "Gene Expression"],
    )  # fmt: skip
    cells = run([path], tmp_path)
    assert cells.var["feature_id"].tolist() == IDS
    assert cells.X[:, 39].sum() == COUNTS[:, 39].sum()
    medians = json.loads((tmp_path / "data" / "train" / "medians.json").read_text())
    totals = COUNTS.sum(axis=1, keepdims=True)  # of genes alone
    there = COUNTS[:, 39] > 0
    assert medians[IDS[39]] == np.median((COUNTS / totals * 1e4)[there, 39])
    report = " ".join(capsys.readouterr().out.split())
    share = others.sum(axis=0) / (COUNTS.sum() + others.sum())
    assert f"1 features of type Antibody Capture (such as CD4), with {share[0]:.1%}" in report
    assert "1 spike-ins (such as ERCC-00002)" in report
    assert "left out 3" in report
    statuses = pd.read_csv(tmp_path / "data" / "genes.csv", keep_default_na=False)
    assert statuses["status"].tolist() == ["kept"] * 40 + ["left out"] * 3
    assert statuses["why"].iloc[42] == "spike-ins"


def test_spike_ins_that_training_has_are_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5ad", COUNTS, index=[*SYMBOLS[:39], "ERCC-00002"])
    run([path], tmp_path, keep_spike_ins=True)
    assert training(tmp_path).num_genes_known == 40


def test_one_genome_or_all_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = [f"GRCh38_{s}" for s in SYMBOLS[:30]] + [f"mm10___Gene{i}" for i in range(10)]
    path = write(tmp_path / "a.h5ad", COUNTS, index=index)
    with pytest.raises(ValueError, match=r"GRCh38 \(30 genes\), mm10 \(10 genes\)\. Choose one"):
        run([path], tmp_path)
    cells = run([path], tmp_path, genome="GRCh38")
    assert cells.var["feature_id"].tolist() == SYMBOLS[:30]
    assert "10 genes of genome mm10" in " ".join(capsys.readouterr().out.split())
    assert training(tmp_path).num_genes_known == 30
    (tmp_path / "both").mkdir()
    assert run([path], tmp_path / "both", genome="all").n_vars == 40
    assert training(tmp_path / "both").num_genes_known == 40
    assert "genes of 2 genomes are taken" in " ".join(capsys.readouterr().out.split())


def test_the_report_and_training_name_genes_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five ids are not in the vocabulary; it knows three of them by their symbols."""
    ids = [*IDS[:35], *(f"ENSG{i:011d}" for i in range(5))]
    content = {
        "vocab": {token: i for i, token in enumerate([*SPECIAL_TOKENS, *IDS])},
        "gene_to_ens": {SYMBOLS[i]: IDS[i] for i in (35, 36, 37)},
    }
    (tmp_path / "geneformer.vocab").write_text(json.dumps(content))
    path = write(tmp_path / "a.h5ad", COUNTS, ensembl_id=ids)
    cells = run([path], tmp_path, vocab=tmp_path / "geneformer.vocab")
    assert "38 of 40 genes are in the vocabulary" in capsys.readouterr().out
    assert training(tmp_path).num_genes_known == 38
    assert cells.var["feature_id"].tolist() == [*IDS[:38], *ids[38:]]
    statuses = pd.read_csv(tmp_path / "data" / "genes.csv")
    assert (statuses["status"] == "dropped").sum() == 2
