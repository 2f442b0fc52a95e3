"""The documentation site: it builds without a warning, its links lead somewhere, it is searched."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import pytest
from pages import Page

REPOSITORY = Path(__file__).resolve().parents[3]
DOCS = REPOSITORY / "docs"
SEARCH = Path(__file__).parent / "helpers" / "search_site.js"

# What a newcomer types, in a word or two and as a sentence -> where the answer is.
QUESTIONS = {
    ("install", "how do I install this package"): ("questions#how-do-i-install-it",),
    ("input formats", "which file formats can I load"): (
        "questions#which-input-file-formats-can-it-read",
    ),
    ("time labels", "my stages are called E7.5 and P2"): (
        "questions#which-time-labels-are-understood",
    ),
    ("velocity", "can I use scVelo"): (
        "questions#can-i-use-rna-velocity",
        "questions#how-do-i-use-it-with-scanpy-scvelo-or-cellrank",
    ),
    ("donors", "hold out patients"): ("questions#how-do-i-handle-donors-or-patients",),
    ("gpu", "is a GPU needed"): ("questions#do-i-need-a-gpu",),
    ("memory", "out of memory"): ("questions#how-much-memory-do-i-need",),
    ("fates", "where does my cell end up"): ("questions#how-do-i-get-the-fates-of-cells",),
    ("perturbation", "knock out a gene"): (
        "questions#how-do-i-knock-out-overexpress-or-perturb-a-gene",
    ),
    ("export", "use the model in hugging face transformers"): (
        "questions#how-do-i-export-the-model-to-hugging-face",
    ),
    ("cite", "how do I cite this"): ("questions#how-do-i-cite-it",),
    ("training time", "how long does it take to train"): (
        "questions#how-much-time-does-training-take",
    ),
    ("no time points", "I have no pseudotime"): (
        "questions#what-if-i-have-no-time-points-or-pseudotime",
    ),
    ("how many cells", "minimum number of cells"): (
        "questions#how-many-cells-do-i-need-at-the-minimum",
    ),
    ("resume", "continue a training that was killed"): (
        "questions#how-do-i-continue-or-resume-an-interrupted-training",
    ),
    ("mouse", "does it work for zebrafish"): (
        "questions#does-it-work-for-mouse-zebrafish-and-other-species",
    ),
    ("baseline", "is my model any good"): (
        "report#how-to-read-the-baselines",
        "questions#is-my-model-any-good",
    ),
    ("pretrained weights", "fine-tune geneformer on my data"): (
        "questions#can-i-fine-tune-geneformer-s-pretrained-weights",
    ),
    ("raw counts", "log-normalized data"): (
        "questions#do-counts-have-to-be-raw-or-can-they-be-log-normalised",
    ),
    ("batch effects", "batch correction"): ("questions#what-about-batch-effects",),
}
LEAST_ANSWERED = 18
"""Of the 20, in the first hit."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DOCS.is_dir(), reason="the repository's docs/ are not here"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx", reason="needs the extra `docs`")
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable, "-m", "sphinx", "--builder", "html", "--fail-on-warning", "--keep-going",
        str(DOCS), str(folder),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """All pages but the templates that the theme leaves among its files."""
    files = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    return {path: Page(path.read_text(encoding="utf-8")) for path in files}


def test_links_and_pictures_lead_to_what_there_is(site: Path, pages: dict[Path, Page]) -> None:
    targets = {path: {"", "top", *page.values("id")} for path, page in pages.items()}
    broken = []
    for path, page in pages.items():
        for link in {*page.values("href"), *page.values("src")}:
            if re.match(r"(https?|mailto|data):", link):
                continue
            file, _, anchor = unquote(link).partition("#")
            found = (path.parent / file.partition("?")[0]).resolve() if file else path
            if not found.exists() or anchor not in targets.get(found, {anchor}):
                broken.append(f"{path.relative_to(site)} -> {link}")
    assert broken == []


def test_every_page_of_docs_is_on_the_site(site: Path) -> None:
    assert {page.stem for page in DOCS.glob("*.md")} <= {page.stem for page in site.glob("*.html")}


def test_every_command_and_public_name_has_its_entry(pages: dict[Path, Page], site: Path) -> None:
    from bionemo.geneformer_t import __all__ as names
    from bionemo.geneformer_t import pl, pp, tl
    from bionemo.geneformer_t.run.cli import COMMANDS

    ids = {name for page in pages.values() for name in page.values("id")}
    functions = {f"{module.__name__}.{name}" for module in (pp, tl, pl) for name in module.__all__}
    others = {f"bionemo.geneformer_t.{name}" for name in set(names) - {"pp", "tl", "pl"}}
    assert functions | others <= ids
    assert {f"geneformer-t-{command}" for command in COMMANDS} <= ids


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node, which runs the search")
@pytest.mark.parametrize("form", [0, 1], ids=["words", "sentences"])
def test_search_answers_newcomers_in_its_first_hit(site: Path, form: int) -> None:
    queries = [forms[form] for forms in QUESTIONS]
    hits = dict(zip(queries, first_hits(site, queries), strict=True))
    unanswered = {
        query: hits[query]
        for query, answers in zip(queries, QUESTIONS.values(), strict=True)
        if hits[query] not in answers
    }
    assert len(queries) - len(unanswered) >= LEAST_ANSWERED, unanswered


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node, which runs the search")
def test_search_finds_functions_and_options_by_name(site: Path) -> None:
    queries = ["gft.tl.fates", "fate_triangle", "resume_from_checkpoint"]
    function, picture, option = first_hits(site, queries)
    assert function == "site/api/tl#bionemo.geneformer_t.tl.fates"
    assert picture == "site/api/pl#bionemo.geneformer_t.pl.fate_triangle"
    assert option == "site/commands#cmdoption-geneformer-t-train-resume_from_checkpoint"


def first_hits(site: Path, queries: Sequence[str]) -> list[str]:
    """Page and section of the first hit of each query; empty where there is none."""
    done = subprocess.run(
        ["node", str(SEARCH), str(site)],
        input=json.dumps(queries), capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return [
        "".join(found[0][index] for index in (0, 2)) if found else ""
        for found in json.loads(done.stdout)
    ]
