"""One settings dataclass is a function, a command line and a YAML file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from bionemo.geneformer_t import __version__
from bionemo.geneformer_t.run.arguments import field_docs
from bionemo.geneformer_t.run.cli import main as command_line
from bionemo.geneformer_t.run.command import command, main, resolve
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer
from bionemo.geneformer_t.setting_values import POSITIONAL


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a small command needs."""

    data_dir: Path
    """Where
    the data are."""
    config: Path | None = None
    """A YAML file."""
    learning_rate: float = 1e-4
    """Peak."""
    devices: int | str = 1
    """How many."""
    use_wandb: bool = False
    """Log there too."""
    only_cells: bool = True
    """Leave others out."""
    policy: Literal["skip", "identity"] = "skip"
    """What then."""
    order: tuple[str, ...] | None = None
    """In which order."""

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be positive; got {self.learning_rate}")


@command(Settings)
def small(settings: Settings) -> Settings:
    """Return the settings."""
    return settings


def test_the_function_takes_the_fields():
    settings = small(data_dir="there", learning_rate=1)
    assert settings == Settings(data_dir=Path("there"), learning_rate=1.0)
    assert isinstance(settings.learning_rate, float)


@pytest.mark.parametrize("spelling", ["--data_dir", "--data-dir"])
def test_both_spellings_are_accepted(spelling):
    assert main(small, [spelling, "there"]).data_dir == Path("there")


def test_values_of_every_kind_are_read():
    line = (
        "--data_dir there --devices 4 --use_wandb --only_cells false --policy identity "
        "--order D0 D6 --learning-rate 5e-5"
    )
    assert main(small, line.split()) == Settings(
        data_dir=Path("there"),
        devices=4,
        use_wandb=True,
        only_cells=False,
        policy="identity",
        order=("D0", "D6"),
        learning_rate=5e-5,
    )
    assert main(small, ["--data_dir", "there", "--devices", "auto"]).devices == "auto"


def test_the_command_line_wins_over_yaml_and_yaml_over_defaults(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("data_dir: from_yaml\nlearning_rate: 1e-3\npolicy: identity\norder: [a, b]\n")
    settings = main(small, ["--config", str(path), "--learning_rate", "0.5"])
    assert settings.data_dir == Path("from_yaml")
    assert settings.learning_rate == 0.5
    assert (settings.policy, settings.order) == ("identity", ("a", "b"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("lr: 1", "unknown settings: lr; known are: data_dir, config"),
        ("- 1", "must map names of settings to values"),
        ("a: [", "not valid YAML"),
        ("!!python/object/apply:os.getcwd []", "not valid YAML"),
    ],
)
def test_yaml_that_is_no_configuration_is_refused(tmp_path, content, message):
    path = tmp_path / "config.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        resolve(Settings, {"config": path})


def test_a_user_error_is_one_plain_message(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(
            train_temporal_geneformer,
            ["--data_dir", "there", "--output_dir", "here", "--mask_prob", "2"],
            prog="train",
        )
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "\ntrain: mask_prob must be in (0, 1]; got 2.0\n"


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("--learing_rate 1e-4", "--learning_rate"),
        ("--learing-rate=1e-4", "--learning-rate"),
        ("--learing_rate 1 --polcy skip", "--learning_rate and --policy"),
    ],
)
def test_a_misspelt_option_is_refused_with_the_one_it_resembles(line, meant, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(small, f"--data_dir there {line}".split())
    assert stopped.value.code == 2
    refusal = capsys.readouterr().err
    assert f"unrecognized arguments: {line}; did you mean {meant}?" in refusal


def test_a_misspelt_option_is_asked_about_where_a_required_one_is_missing(capsys):
    with pytest.raises(SystemExit):
        command_line(["embed", "--chekpoint", "a", "--input", "b", "--output", "c"])
    assert "are required: --checkpoint; did you mean --checkpoint?" in capsys.readouterr().err


def test_nothing_is_asked_about_an_option_that_resembles_none(capsys):
    with pytest.raises(SystemExit):
        main(small, ["--data_dir", "there", "--zzz", "--learning", "fast"])
    assert "did you mean" not in capsys.readouterr().err


def test_a_misspelt_setting_is_refused_with_the_one_it_resembles(tmp_path):
    with pytest.raises(TypeError, match=r"did you mean learning_rate\?"):
        small(data_dir="there", learing_rate=1)
    (tmp_path / "config.yaml").write_text("learing_rate: 1")
    with pytest.raises(ValueError, match=r"did you mean learning_rate\?"):
        resolve(Settings, {"config": tmp_path / "config.yaml"})


def test_a_misspelt_command_is_refused_with_the_one_it_resembles(capsys):
    assert command_line(["trian"]) == 2
    assert "no command 'trian'; did you mean train?\n" in capsys.readouterr().err
    assert command_line(["zzz"]) == 2
    assert "no command 'zzz'\n" in capsys.readouterr().err


def test_the_layer_of_counts_and_the_hidden_layer_are_told_apart(capsys):
    told = {
        "prepare": ["Layer of the file with the raw counts (called counts_layer in embed)"],
        "embed": ["Hidden layer of the model", "Layer of the .h5ad with the raw counts"],
    }
    for name, sentences in told.items():
        with pytest.raises(SystemExit):
            command_line([name, "--help"])
        text = " ".join(capsys.readouterr().out.split())
        assert all(sentence in text for sentence in sentences)


def test_a_missing_setting_is_named(capsys):
    with pytest.raises(SystemExit):
        main(small, [])
    assert "must be given: data_dir" in capsys.readouterr().err
    with pytest.raises(TypeError, match="unknown settings: data"):
        small(data="there")
    with pytest.raises(TypeError, match="keyword arguments only"):
        small("there")


def test_help_shows_every_field_with_its_docstring_and_default(capsys):
    with pytest.raises(SystemExit):
        main(small, ["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "Where the data are." in text
    assert "Peak. (default: 0.0001)" in text
    assert "Leave others out. (default: true)" in text
    assert set(field_docs(Settings)) == set(Settings.__dataclass_fields__)


def test_a_positional_field_needs_no_name():
    @dataclass(frozen=True, kw_only=True)
    class WithInput:
        """One input."""

        input: Path = field(metadata=POSITIONAL)
        """The file."""

    @command(WithInput)
    def read(settings: WithInput) -> Path:
        """Return the input."""
        return settings.input

    assert main(read, ["cells.h5ad"]) == Path("cells.h5ad")


def test_the_version_is_said(capsys):
    assert command_line(["--version"]) == 0
    assert capsys.readouterr().out == f"geneformer-t {__version__}\n"
