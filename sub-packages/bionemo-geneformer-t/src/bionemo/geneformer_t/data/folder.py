"""Data folders: the names of their splits, what each holds, and the vocabulary that all share."""

from pathlib import Path

from bionemo.geneformer_t.vocab import GeneVocab

TRAIN, VAL, TEST = SPLITS = ("train", "val", "test")
VOCAB = "geneformer.vocab"
MEDIANS = "medians.json"


def split_folders(data_dir: Path) -> dict[str, Path]:
    """The splits that a data folder holds; none where there is no such folder."""
    return {name: data_dir / name for name in SPLITS if (data_dir / name).is_dir()}


def check_folder(data_dir: Path) -> None:
    """Refuse a folder without training cells.

    Raises:
        FileNotFoundError: No such folder, or no `train` in it.
    """
    expected = (
        f"expected {data_dir}/{TRAIN} (and, if you like, {VAL} and {TEST}), each with data.h5ad, "
        f"neighbors.json, {MEDIANS} and {VOCAB}; `geneformer-t prepare` and `geneformer-t "
        "simulate` make such folders"
    )
    if not data_dir.is_dir():
        raise FileNotFoundError(f"data_dir: there is no folder {data_dir}; {expected}")
    if not (data_dir / TRAIN).is_dir():
        held = ", ".join(sorted(child.name for child in data_dir.iterdir())) or "nothing"
        raise FileNotFoundError(f"data_dir: {data_dir} holds no {TRAIN}, only {held}; {expected}")


def shared_vocab(data_dir: Path) -> GeneVocab:
    """The vocabulary of the training cells; the other splits' must be the same.

    Raises:
        ValueError: Another split has another vocabulary or other medians.
    """
    mine = {name: data_dir / TRAIN / name for name in (VOCAB, MEDIANS)}
    vocab = GeneVocab.read(mine[VOCAB], mine[MEDIANS])
    for split in (VAL, TEST):
        _check_same_vocab(data_dir / split, mine, vocab)
    return vocab


def _check_same_vocab(folder: Path, mine: dict[str, Path], vocab: GeneVocab) -> None:
    """A split's own vocabulary files may be missing, but may not disagree."""
    theirs = {name: folder / name if (folder / name).is_file() else mine[name] for name in mine}
    if all(theirs[name].read_bytes() == mine[name].read_bytes() for name in mine):
        return
    other = GeneVocab.read(theirs[VOCAB], theirs[MEDIANS])
    if other.fingerprint != vocab.fingerprint:
        raise ValueError(
            f"{folder} has another vocabulary or other medians than {mine[VOCAB].parent} "
            f"({len(other):,} tokens there, {len(vocab):,} here); token ids would not mean the "
            f"same. Copy {VOCAB} and {MEDIANS} from the training folder, or remove them"
        )
