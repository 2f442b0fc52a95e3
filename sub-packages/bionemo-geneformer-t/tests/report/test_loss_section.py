from bionemo.geneformer_t.report.loss_section import loss_section


def test_the_lowest_and_the_last_validation_loss_are_named(tmp_path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,epoch,train/loss,val/loss\n0,0,3,\n9,0,,2.5\n19,1,,2.25\n29,2,,2.75\n")
    section = loss_section(path)
    assert "lowest at step 19 (2.250 nats) and ended at 2.750 nats" in section.shown().text
    assert section.pictures[0].alt.endswith("2.750 nats.")


def test_a_run_without_validation_is_shown_with_its_training_loss(tmp_path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,epoch,train/loss\n0,0,3\n1,0,2\n")
    section = loss_section(path)
    assert "no validation cells" in section.shown().text
    assert len(section.pictures) == 1


def test_without_metrics_the_section_says_so() -> None:
    assert "no metrics.csv" in loss_section(None).shown().text
