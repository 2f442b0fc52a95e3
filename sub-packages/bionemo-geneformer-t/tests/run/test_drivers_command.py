"""`geneformer-t drivers` writes a table and says what it is about."""

import re
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.run.cli import main
from bionemo.geneformer_t.run.drivers import drivers
from bionemo.geneformer_t.run.simulate import simulate


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = simulate(
        output_dir=tmp_path_factory.mktemp("drivers") / "data",
        num_cells=1000, num_genes=60, num_switch_genes=2, num_donors=5, switch_effect=1.2,
    )  # fmt: skip
    return folder / "train" / "data.h5ad"


def test_it_writes_a_table_and_prints_the_genes(
    cells: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = cells.read_bytes()
    output = tmp_path / "drivers.csv"
    arguments = ["drivers", "--input", str(cells), "--output", str(output)]
    options = ["--fates_key", "true_fates", "--cluster_key", "branch", "time_point"]
    assert main([*arguments, *options, "--fate", "B", "--max_permutations", "4000"]) == 0
    said = capsys.readouterr().out
    assert "note: units: 800 cells" in said
    assert "genes go with it and" in said
    assert "against it at q < 0.05 (false discovery rate), of" in said
    counted = re.search(r"B: (\d+) genes go with it and (\d+) against", said)
    table = pd.read_csv(output)
    assert set(table["fate"]) == {"B"}
    drives = anndata.read_h5ad(cells).var["drives_B"]
    found = table[table["fdr"] < 0.05].set_index("gene")["effect"]
    assert [int(n) for n in counted.groups()] == [(found > 0).sum(), (found < 0).sum()]
    right = (found > 0).map({True: 1, False: -1}) == drives[found.index]
    assert right.sum() >= 3  # of four switch genes
    for symbol in table["symbol"][:3]:
        assert symbol in said
    assert cells.read_bytes() == before


def test_an_h5ad_holds_what_a_notebook_would(cells: Path, tmp_path: Path) -> None:
    few = {"num_permutations": 50, "max_permutations": 50, "fates_key": "true_fates"}
    drivers(input=cells, output=tmp_path / "drivers.csv", **few)
    drivers(input=cells, output=tmp_path / "drivers.h5ad", **few)
    written = anndata.read_h5ad(tmp_path / "drivers.h5ad")
    adata = anndata.read_h5ad(cells)
    table = gft.tl.drivers(adata, num_permutations=50, max_permutations=50, fates_key="true_fates")
    pd.testing.assert_frame_equal(written.uns["fate_drivers"], table)
    np.testing.assert_equal(written.uns["fate_drivers_params"], adata.uns["fate_drivers_params"])
    assert len(pd.read_csv(tmp_path / "drivers.csv")) == len(table)
    np.testing.assert_array_equal(written.X.toarray(), adata.X.toarray())
    # once more, into the file itself
    again = tmp_path / "drivers.h5ad"
    drivers(input=again, output=again, fate=("B",), **few)
    assert set(anndata.read_h5ad(again).uns["fate_drivers"]["fate"]) == {"B"}


def test_what_tests_cannot_tell_is_said_once(
    cells: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    few = {"num_permutations": 20, "max_permutations": 20}
    drivers(input=cells, output=tmp_path / "d.csv", fates_key="true_fates", **few)
    said = "".join(capsys.readouterr())
    for sentence in ("no donors are given: p-values are about these cells", "no clusters are give"):
        assert said.count(sentence) == 1
        assert sentence not in caplog.text  # which a terminal shows as well


def test_too_few_donors_print_a_sentence(
    cells: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = anndata.read_h5ad(cells)
    few[few.obs["donor"].isin(["donor_1", "donor_2"])].copy().write_h5ad(tmp_path / "few.h5ad")
    drivers(
        input=tmp_path / "few.h5ad", output=tmp_path / "few.csv", fates_key="true_fates",
        cluster_key=("branch",), donor_key="donor",
    )  # fmt: skip
    assert "2 donors are too few for p-values" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "few.csv")["p_value"].isna().all()


def test_bad_settings_end_with_a_message(
    cells: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=r"output must end in \.csv or \.h5ad"):
        drivers(input=cells, output=tmp_path / "x.txt")
    with pytest.raises(FileNotFoundError, match=r"expected an \.h5ad file"):
        drivers(input=tmp_path / "none.h5ad", output=tmp_path / "x.csv")
    with pytest.raises(SystemExit):
        main(["drivers", "--input", str(cells), "--output", str(tmp_path / "x.csv")])
    assert "fates_key: obsm has no 'fates', which gft.tl.fates writes" in capsys.readouterr().err
    assert not (tmp_path / "x.csv").exists()
