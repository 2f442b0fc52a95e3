"""All that `train` would refuse in a data folder, by the very checks that it makes."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.folder import TRAIN
from bionemo.geneformer_t.data.successors import ANY_KEY, successor_keys
from bionemo.geneformer_t.data.training_splits import TrainingSplits
from bionemo.geneformer_t.inference.data_fit import Finding

_REFUSALS = (ValueError, KeyError, OSError)
"""What checks raise for users; anything else is a fault of this package and ends the command."""


def compare(data_dir: Path, neighbor_key: str | None = None) -> list[Finding]:
    """Every reason why `train` would refuse a data folder with default settings.

    Args:
        data_dir: The folder.
        neighbor_key: The graph that training is to follow. By default all that the training cells
            have are looked at, `next_cell_ids` among them where there is no other.
    """
    keys, notes = ([neighbor_key], []) if neighbor_key else _keys(data_dir)
    found = [
        finding
        for i, key in enumerate(keys)
        for finding in _refusals(data_dir, key, is_asked=i == 0)
    ]
    return [*dict.fromkeys([*found, *notes])]


def _keys(data_dir: Path) -> tuple[Sequence[str], list[Finding]]:
    """The graphs to look at, and whether training must be told which to follow."""
    default = PairSettings.neighbor_key
    try:
        held = successor_keys(data_dir / TRAIN)
    except _REFUSALS:
        return [default], []  # which meets the same damage, and names it
    if not held or default in held or ANY_KEY in held:  # the key of all serves the default
        return list(dict.fromkeys([default, *(key for key in held if key != ANY_KEY)])), []
    text = f"there are no successors under {default!r}; train with --neighbor_key {held[0]}"
    return held, [Finding(verdict="note", text=text)]


def _refusals(data_dir: Path, key: str, *, is_asked: bool) -> Iterator[Finding]:
    """What training on one graph would be refused for.

    Args:
        data_dir: The folder.
        key: The graph.
        is_asked: Whether every split must have it. Else it is one of several, and a split without
            it is none that is wrong.
    """
    try:
        data = TrainingSplits(data_dir, PairSettings(neighbor_key=key), token_cache=False)
    except _REFUSALS as error:
        yield Finding(verdict="wrong", text=_text(error))
        return
    said = set()
    for split, check in data.checks():
        refusal = _refusal(check)
        if refusal is None or _text(refusal) in said:
            continue
        said.add(_text(refusal))
        is_missing = isinstance(refusal, KeyError) and not is_asked
        yield Finding(
            verdict="note" if is_missing else "wrong",
            text=f"train would refuse {split}: {_text(refusal)}",
        )
    refusal = _refusal(lambda: data.test)
    if refusal is not None and _text(refusal) not in said:
        text = f"a run could train, but would have no scores at its end: {_text(refusal)}"
        yield Finding(verdict="note", text=text)


def _refusal(check: Callable[[], object]) -> BaseException | None:
    """What a check raises for users."""
    try:
        check()
    except _REFUSALS as error:
        return error
    return None


def _text(error: BaseException) -> str:
    return str(error.args[0] if isinstance(error, KeyError) and error.args else error)
