"""Geneformer's vocabularies are found by name, or the message says where they were sought."""

import pickle
from pathlib import Path

import pytest

from bionemo.geneformer_t.prepare import published_vocabulary
from bionemo.geneformer_t.prepare.published_vocabulary import (
    DICTIONARIES_VARIABLE,
    NAMED,
    find_vocab,
)


def write_dictionaries(folder: Path) -> Path:
    wanted = NAMED["geneformer-gc95M"]
    contents = {
        wanted.tokens: {"<pad>": 0, "<mask>": 1, "ENSG1": 2},
        wanted.medians: {"ENSG1": 1.5},
        wanted.names[0]: {"OCT4": "ENSG9", "ENSG0": "ENSG1"},
        wanted.names[1]: {"OCT4": "ENSG1"},
    }
    (folder / "inside").mkdir(parents=True)
    for name, content in contents.items():
        (folder / "inside" / name).write_bytes(pickle.dumps(content))
    return folder


def test_found_in_the_folder_given_or_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_dictionaries(tmp_path / "d")
    files = find_vocab("geneformer-gc95M", folder)
    assert files.gene_names() == {"OCT4": "ENSG1", "ENSG0": "ENSG1"}
    monkeypatch.setenv(DICTIONARIES_VARIABLE, str(folder))
    assert find_vocab("geneformer-gc95M") == files


def test_found_in_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "geneformer"
    write_dictionaries(package)
    (package / "__init__.py").write_text("raise RuntimeError('it must not be imported')")
    monkeypatch.delenv(DICTIONARIES_VARIABLE, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert find_vocab("geneformer-gc95M").tokens.is_relative_to(package)


def test_the_message_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match=rf"looked in: {tmp_path}.*--dictionaries DIR"):
        find_vocab("geneformer-gc30M", tmp_path)
    monkeypatch.delenv(DICTIONARIES_VARIABLE, raising=False)
    monkeypatch.setattr(published_vocabulary.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match="nowhere, for no folder was named"):
        find_vocab("geneformer-gc30M")
    with pytest.raises(FileNotFoundError, match="expected a folder"):
        find_vocab("geneformer-gc30M", tmp_path / "no")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_the_published_files_are_read(real_data: Path, name: str) -> None:
    files = find_vocab(name, real_data / "geneformer_dictionaries")
    assert files.gene_names()["POU5F1"] == "ENSG00000204531"
