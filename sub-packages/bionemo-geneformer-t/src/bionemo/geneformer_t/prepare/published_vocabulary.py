"""Geneformer's published vocabularies by name, from dictionary files that the user has.

Nothing is downloaded: the files come with Geneformer's repository or package.
"""

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bionemo.geneformer_t.dictionaries import read_dictionary

DICTIONARIES_VARIABLE = "GENEFORMER_T_DICTIONARIES"
"""Environment variable that names a folder of dictionaries."""


@dataclass(frozen=True, kw_only=True)
class VocabFiles:
    """The files of a vocabulary."""

    tokens: Path
    medians: Path
    names: tuple[Path, ...]
    """Dictionaries from symbols, synonyms and old ids to Ensembl ids; later ones win."""

    def gene_names(self) -> dict[str, str]:
        """Symbols, synonyms and old ids to Ensembl ids."""
        merged: dict[str, str] = {}
        for path in self.names:
            merged.update(read_dictionary(path))
        return merged


NAMED = {
    "geneformer-gc30M": VocabFiles(
        tokens=Path("token_dictionary_gc30M.pkl"),
        medians=Path("gene_median_dictionary_gc30M.pkl"),
        names=(Path("gene_name_id_dict_gc30M.pkl"),),
    ),
    "geneformer-gc95M": VocabFiles(
        tokens=Path("token_dictionary_gc95M.pkl"),
        medians=Path("gene_median_dictionary_gc95M.pkl"),
        names=(Path("ensembl_mapping_dict_gc95M.pkl"), Path("gene_name_id_dict_gc95M.pkl")),
    ),
}
"""What `--vocab` may be beside a file and `data`, and what its files are called."""


def find_vocab(name: str, folder: Path | None = None) -> VocabFiles:
    """The files of a named vocabulary.

    Args:
        name: One of `NAMED`.
        folder: Where to look; else the folder that GENEFORMER_T_DICTIONARIES names, else an
            installed `geneformer` package.

    Raises:
        FileNotFoundError: A file is nowhere; says where it was looked for.
    """
    wanted = NAMED[name]
    places = list(_places(folder))
    found: dict[Path, Path] = {}
    for file in (wanted.tokens, wanted.medians, *wanted.names):
        hit = next((hit for place in places for hit in sorted(place.rglob(file.name))), None)
        if hit is None:
            looked = ", ".join(map(str, places)) or "nowhere, for no folder was named"
            raise FileNotFoundError(
                f"vocab {name!r} needs {file}; looked in: {looked}. Get Geneformer's dictionary "
                "files (they are part of its repository and of its Python package) and name "
                f"their folder with --dictionaries DIR or {DICTIONARIES_VARIABLE}, or learn a "
                "vocabulary from your own cells with --vocab data"
            )
        found[file] = hit
    return VocabFiles(
        tokens=found[wanted.tokens],
        medians=found[wanted.medians],
        names=tuple(found[file] for file in wanted.names),
    )


def _places(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        if not folder.is_dir():
            raise FileNotFoundError(f"dictionaries: expected a folder at {folder}; there is none")
        yield folder
        return
    if os.environ.get(DICTIONARIES_VARIABLE):
        yield Path(os.environ[DICTIONARIES_VARIABLE])
        return
    package = importlib.util.find_spec("geneformer")
    for place in (package.submodule_search_locations or []) if package else []:
        yield Path(place)
