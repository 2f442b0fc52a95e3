"""Find a checkpoint: a local file or folder, or a repository of the Hugging Face hub."""

import re
from pathlib import Path

from bionemo.geneformer_t.safe_files import CONFIG_JSON, PYTORCH_BIN, SAFETENSORS

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(/[\w./-]+)?")
_BESIDE_WEIGHTS = ("*token_dictionary*", "*gene_median_dictionary*", "*geneformer.vocab",
                   "*medians.json")  # fmt: skip
"""Small files of a repository that may hold the vocabulary."""


def locate(source: str | Path) -> tuple[Path, Path]:
    """The file or folder of a checkpoint, and the folder in which its dictionaries may be.

    Args:
        source: A local path; or `OWNER/NAME` on the hub, or `OWNER/NAME/FOLDER` for a checkpoint in
            a folder of a repository, such as `ctheodoris/Geneformer/Geneformer-V1-10M`.

    Raises:
        FileNotFoundError: There is neither; says what was tried.
    """
    try:
        local = Path(source).expanduser()
    except RuntimeError as error:  # no HOME, as in some containers
        raise ValueError(
            f"pretrained: {source} starts at your home folder, and the system knows none "
            f"({error}); give the whole path, or set HOME"
        ) from error
    if local.exists():
        return local, local if local.is_dir() else local.parent
    source = str(source)
    if not _HUB_ID.fullmatch(source):
        raise FileNotFoundError(
            f"pretrained: there is no file or folder {source}; give a folder with {CONFIG_JSON} "
            f"and {SAFETENSORS}, a checkpoint of a training run, or OWNER/NAME on the Hugging Face "
            "hub"
        )
    owner, name, *inside = source.split("/", 2)
    return _download(f"{owner}/{name}", inside[0].strip("/") if inside else "", source)


def _download(repository: str, inside: str, source: str) -> tuple[Path, Path]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    prefix = f"{inside}/" if inside else ""
    try:
        root = Path(
            snapshot_download(
                repository,
                allow_patterns=[prefix + CONFIG_JSON, prefix + SAFETENSORS, *_BESIDE_WEIGHTS],
            )
        )
        if not (root / inside / SAFETENSORS).is_file():
            snapshot_download(repository, allow_patterns=[prefix + PYTORCH_BIN])
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise FileNotFoundError(
            f"pretrained: there is no local file or folder {source}, and the Hugging Face hub gave "
            f"no repository {repository} ({type(error).__name__}: "
            f"{(str(error).splitlines() or ['no reason given'])[0]}). Without a network, download "
            "it where there is one and give the folder, or let HF_HOME name a cache that holds it"
        ) from error
    return root / inside, root
