import base64
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import anndata
import numpy as np
import pytest
from matplotlib.image import imread
from pages import HOSTILE, Page
from perturbed_forks import with_perturbation
from two_forks import two_forks

from bionemo.geneformer_t.evaluate.evaluation import BASELINES
from bionemo.geneformer_t.evaluate.row_names import MODEL
from bionemo.geneformer_t.evaluate.text import summary
from bionemo.geneformer_t.inference.checkpoint import summarise_checkpoint
from bionemo.geneformer_t.report.contents import changed_settings, sections_of
from bionemo.geneformer_t.run.cli import main
from bionemo.geneformer_t.run.evaluate import EvaluateSettings, evaluate_checkpoint
from bionemo.geneformer_t.run.report import FIGURES, REPORT, report, write_report

SECTIONS = [
    "about", "loss", "graph", "scores", "retrieval", "explore", "arrows", "genes", "clusters",
    "calibration",
]  # fmt: skip
PICTURES = {
    "loss_curve", "graph", "gains", "next_cells", "skill_by_cluster", "calibration",
}  # fmt: skip
FOLDER = HOSTILE.replace("/", "|")


@pytest.fixture
def hostile_data_dir(tiny_data_dir: Path) -> Path:
    """The tiny data with clusters and gene symbols that try to be markup and formulas."""
    for split in ("train", "val", "test"):
        folder = tiny_data_dir / split
        cells = anndata.read_h5ad(folder / "data.h5ad")
        cells.obs["cell_type"] = np.where(np.arange(cells.n_obs) % 3 == 2, "plain", HOSTILE)
        cells.write_h5ad(folder / "data.h5ad")
        path = folder / "geneformer.vocab"
        content = json.loads(path.read_text())
        content["gene_to_ens"] = {
            f"{HOSTILE} {symbol}" if i < 20 else symbol: gene
            for i, (symbol, gene) in enumerate(content["gene_to_ens"].items())
        }
        path.write_text(json.dumps(content))
    return tiny_data_dir


@pytest.mark.slow
def test_the_page_is_complete_hostile_text_is_text_and_writing_again_is_the_same(
    hostile_data_dir, untrained_checkpoint, tmp_path, capsys
) -> None:
    data_dir = hostile_data_dir.rename(hostile_data_dir.with_name(FOLDER))
    (untrained_checkpoint.parents[1] / "metrics.csv").write_text(
        "step,epoch,train/loss,val/loss\n0,0,3.0,\n1,0,,2.875\n"
    )
    evaluated = evaluate_checkpoint(
        EvaluateSettings(checkpoint=untrained_checkpoint, data_dir=data_dir)
    )
    path = write_report(evaluated, tmp_path / "one", ("GENE3,GENE26",), 2)
    assert str(path) in capsys.readouterr().out
    text = path.read_text(encoding="utf-8")
    page, shown = Page(text), ""

    # every section, in order, with the figures of the evaluation
    assert [name for name in page.values("id") if name in SECTIONS] == SECTIONS
    shown = "".join(page.text)
    model = evaluated.evaluation.rows[MODEL]
    assert page.row(MODEL)[0] == f"{model.all.cross_entropy:.3f}"
    assert page.row(MODEL)[1] == f"{model.interval.low:.3f} to {model.interval.high:.3f}"
    for name in BASELINES:
        expected = f"{evaluated.evaluation.rows[name].all.cross_entropy:.3f}"
        assert page.row(name)[0] == expected
    for line in summary(evaluated.evaluation).splitlines():
        assert line.strip() in shown
    assert page.row("train")[:2] == ["40", "77"]
    assert page.row("test")[:2] == ["16", "29"]
    assert "2.875" in shown

    # named genes, one by a symbol of the data alone; no other changes beyond noise
    summarised = summarise_checkpoint(untrained_checkpoint)
    names = sections_of(evaluated, summarised, ("GENE3,GENE26",), 2)["genes"]["names"]
    assert names == ("GENE3", "GENE26")
    assert all(page.row(name) for name in names)

    # nothing is loaded, nothing of the data runs, and hostile names are shown as they are
    assert page.tags.count("script") == 4  # two of values, two that run
    assert not {"link", "iframe", "object", "form"} & set(page.tags)
    assert page.tags.count("img") == len(PICTURES)
    assert all(src.startswith("data:image/svg+xml;base64,") for src in page.values("src"))
    assert all(href.startswith("#") for href in page.values("href"))
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert HOSTILE in [row[0] for row in page.rows]
    assert FOLDER in shown
    assert all(len(alt) > 30 for alt in page.values("alt"))
    for held in re.findall(r"svg\+xml;base64,([A-Za-z0-9+/=]+)", text):
        ET.fromstring(base64.b64decode(held))

    explored = json.loads(re.search('explore-values">(.*?)</script>', text).group(1))
    assert explored["cells"]["names"] == [f"test_{i}" for i in range(16)]
    assert HOSTILE in explored["clusters"]["names"]
    assert {"GENE3", "GENE26"} == set(explored["genes"]["names"][:2])
    assert len(text) < 6_000_000

    # pictures beside it, in both kinds
    figures = tmp_path / "one" / FIGURES
    assert {file.stem for file in figures.glob("*.svg")} == PICTURES
    assert {file.stem for file in figures.glob("*.png")} == PICTURES
    assert imread(figures / "gains.png").shape[1] > 1000

    # the same values, the same files
    again = write_report(evaluated, tmp_path / "two", ("GENE3,GENE26",), 2)
    assert again.read_bytes() == path.read_bytes()
    for file in figures.iterdir():
        assert (again.parent / FIGURES / file.name).read_bytes() == file.read_bytes()


@pytest.mark.slow
def test_what_is_not_known_is_said(untrained_checkpoint, tiny_data_dir, tmp_path) -> None:
    """No metrics, no clusters, no times: the page says so, and genes follow the graph's order."""
    for split in ("train", "test"):
        cells = anndata.read_h5ad(tiny_data_dir / split / "data.h5ad")
        del cells.obs["day"]
        cells.write_h5ad(tiny_data_dir / split / "data.h5ad")
    effects = tmp_path / "effects.csv"
    with_perturbation(two_forks()).uns["perturbation"].to_csv(effects, index=False)
    code = main(["report", "--checkpoint", str(untrained_checkpoint), "--data-dir",
                 str(tiny_data_dir), "--num_genes", "3", "--genes", "GENE3",
                 "--perturbation", str(effects), "--interactive", "false"])  # fmt: skip
    assert code == 0
    folder = untrained_checkpoint.parents[1] / "report"
    page = Page((folder / REPORT).read_text(encoding="utf-8"))
    shown = "".join(page.text)
    assert "script" not in page.tags
    assert any("script-src 'none'" in value for value in page.values("content"))
    assert "Clusters are not known: name a column of obs with --cluster_key." in shown
    assert "There is no metrics.csv" in shown
    assert "Times: none (give time_key)" in shown
    assert "does not say which model its effects are of" in shown
    assert (folder / FIGURES / "perturbation_volcano.svg").is_file()
    assert (folder / "evaluation.json").is_file()


def test_settings_are_those_of_the_checkpoint_not_of_a_later_resume(tmp_path) -> None:
    (tmp_path / "config.yaml").write_text("learning_rate: 0.0005\nmax_steps: 8\n")
    recorded = {"learning_rate": 0.001, "max_steps": 6, "seq_length": 2048, "data_dir": "data"}
    assert changed_settings(recorded, tmp_path) == {"learning_rate": 0.001, "max_steps": 6}
    assert changed_settings(None, tmp_path) == {"learning_rate": 0.0005, "max_steps": 8}
    assert changed_settings(None, tmp_path / "elsewhere") == {}


def test_a_gene_that_the_vocabulary_lacks_is_refused_before_the_work(
    untrained_checkpoint, tiny_data_dir, tmp_path
) -> None:
    with pytest.raises(KeyError, match="has no NOGENE, NONE; it knows 28 genes by names such as"):
        report(
            checkpoint=untrained_checkpoint, data_dir=tiny_data_dir, genes=["GENE1,NOGENE", "NONE"],
            output_dir=tmp_path / "out",
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_effects_of_another_model_are_refused_before_the_work(
    untrained_checkpoint, tiny_data_dir, tmp_path
) -> None:
    cells = with_perturbation(two_forks())
    cells.uns["perturbation_params"] = {"model": "another"}
    cells.write_h5ad(tmp_path / "effects.h5ad")
    with pytest.raises(ValueError, match="by another model than this checkpoint"):
        report(
            checkpoint=untrained_checkpoint, data_dir=tiny_data_dir,
            perturbation=tmp_path / "effects.h5ad", output_dir=tmp_path / "out",
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_settings_out_of_range_are_refused(tmp_path) -> None:
    for wrong, message in (({"num_genes": -1}, "must not be negative"), ({"num_genes": 0}, "be 0")):
        with pytest.raises(ValueError, match=message):
            report(checkpoint=tmp_path / "none", data_dir=tmp_path, **wrong)
