"""What all tests share: small real objects, and the optional real data."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = Path(os.environ.get("GENEFORMER_T_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not here: no folder {folder}")
    return folder
