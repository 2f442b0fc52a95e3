"""What fuzz targets share: bytes become a file, which is read rightly or refused by its name."""

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import atheris

_REFUSALS = (ValueError, KeyError, TypeError)


def refused(error: BaseException, path: Path) -> bool:
    """Whether this package raised the error itself, in words that name the file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    is_ours = trace is not None and "geneformer_t" in trace.tb_frame.f_code.co_filename
    return is_ours and path.name in str(error)


def fuzz(
    name: str, read: Callable[[Path], None], samples: list[bytes], words: Sequence[bytes] = ()
) -> None:
    """Run libFuzzer on a reader of files, with its options from the command line.

    Args:
        name: What the file is called, ending included.
        read: Reads it and asserts what holds for whatever it accepts.
        samples: Files in order, to start from.
        words: What the format is made of; chance alone would not spell it.
    """
    with tempfile.TemporaryDirectory() as folder:
        corpus, path = Path(folder) / "corpus", Path(folder) / name
        corpus.mkdir()
        for number, sample in enumerate(samples):
            (corpus / str(number)).write_bytes(sample)

        dictionary = Path(folder) / "words"
        lines = ("".join(f"\\x{byte:02x}" for byte in word) for word in words)
        dictionary.write_text("".join(f'"{line}"\n' for line in lines))

        def test_one_input(data: bytes) -> None:
            path.write_bytes(data)
            try:
                read(path)
            except _REFUSALS as error:
                if not refused(error, path):
                    raise

        atheris.Setup([*sys.argv, f"-dict={dictionary}", str(corpus)], test_one_input)
        atheris.Fuzz()
