from pages import HOSTILE, Page

from bionemo.geneformer_t.inference.checkpoint_file import summarise_checkpoint
from bionemo.geneformer_t.report.about_section import about_section


def test_it_says_what_was_trained_and_what_was_scored(untrained_checkpoint, evaluation) -> None:
    section = about_section(
        summarise_checkpoint(untrained_checkpoint),
        {"hidden_size": 16, "wandb_project": HOSTILE},
        untrained_checkpoint.with_name(HOSTILE.replace("/", "|")),
        evaluation,
        "Times: none.",
    )
    page = Page(section.shown().text)
    assert page.row("checkpoint") == [str(untrained_checkpoint)]
    assert "hidden size 16" in page.row("sizes")[0]
    assert page.row("cells") == ["not recorded in the checkpoint"]
    assert "28 genes" in page.row("vocabulary")[0]
    assert page.row("settings other than the defaults")[0].endswith(f"wandb_project {HOSTILE}")
    assert page.row("pairs")[0].startswith("39 current cells, 39 next cells, 234 positions")
    assert "script" not in page.tags
