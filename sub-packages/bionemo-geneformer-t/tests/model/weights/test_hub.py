"""Checkpoints are found locally, or in the hub's cache, or the message says what was tried."""

from pathlib import Path

import huggingface_hub.constants
import pytest

from bionemo.geneformer_t.model.weights.hub import locate


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of the hub, and no network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def put(cache: Path, name: str) -> Path:
    """A file of the repository lab/cells, as a download leaves it in the cache."""
    repository = cache / "models--lab--cells"
    (repository / "refs").mkdir(parents=True, exist_ok=True)
    (repository / "refs" / "main").write_text("0" * 40)
    path = repository / "snapshots" / ("0" * 40) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    return path


def test_a_local_folder_or_file_is_taken_as_it_is(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "last.ckpt").touch()
    assert locate(tmp_path / "weights") == (tmp_path / "weights",) * 2
    assert locate(str(tmp_path / "weights" / "last.ckpt")) == (
        tmp_path / "weights" / "last.ckpt", tmp_path / "weights",
    )  # fmt: skip


def test_a_repository_in_the_cache_needs_no_network(cache):
    root = put(cache, "model.safetensors").parent
    assert locate("lab/cells") == (root, root)


def test_a_checkpoint_may_lie_in_a_folder_of_its_repository(cache):
    folder = put(cache, "small/V1/model.safetensors").parent
    assert locate("lab/cells/small/V1") == (folder, folder.parent.parent)


def test_without_network_the_message_says_what_to_do(cache):
    with pytest.raises(FileNotFoundError, match=r"no local file or folder lab/cells, .*HF_HOME"):
        locate("lab/cells")


def test_a_path_that_is_no_hub_id_is_not_looked_up():
    for source in ("/no/such/folder", "weights", "./a/b c"):
        with pytest.raises(FileNotFoundError, match="there is no file or folder"):
            locate(source)
