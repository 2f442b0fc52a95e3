"""What is published: the sdist and the wheel hold the package, and their page works on PyPI."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

PACKAGE = Path(__file__).parents[1]
PROJECT = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BUILD = """
import sys
from setuptools import build_meta
folder = sys.argv[1]
build_meta.build_sdist(folder)
build_meta.build_wheel(folder)
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, built from a copy, in which a build may leave files."""
    source = tmp_path_factory.mktemp("source") / "package"
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", ".*")
    shutil.copytree(PACKAGE, source, ignore=unwanted)
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-c", BUILD, str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def in_wheel(built: Path) -> set[str]:
    (wheel,) = built.glob("*.whl")
    return set(ZipFile(wheel).namelist())


@pytest.fixture(scope="module")
def metadata(built: Path) -> Message:
    (wheel,) = built.glob("*.whl")
    with ZipFile(wheel) as files:
        (name,) = (name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(files.read(name).decode())


def shipped() -> set[str]:
    """Files of the package in the repository, from the folder of its sources."""
    source = PACKAGE / "src"
    return {
        path.relative_to(source).as_posix()
        for path in (source / "bionemo").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(in_wheel: set[str]) -> None:
    assert {name for name in in_wheel if ".dist-info/" not in name} == shipped()
    assert any(name.endswith("licenses/LICENSE") for name in in_wheel)


def test_the_sdist_holds_the_sources_and_no_tests(built: Path) -> None:
    """Tests need the repository around them, so they are left out rather than shipped in part."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    assert {f"src/{name}" for name in shipped()} | {"LICENSE", "README.md"} <= names
    assert not [name for name in names if name.startswith("tests")]


def test_links_of_the_published_page_are_absolute(metadata: Message) -> None:
    """PyPI shows the page without the files beside it."""
    page = str(metadata.get_payload())
    targets = re.findall(r"\]\(([^)\s]+)", page) + re.findall(r"(?:href|src)=\"([^\"]+)", page)
    assert targets
    assert [target for target in targets if not target.startswith("https://")] == []


def test_links_of_the_project_are_published(metadata: Message) -> None:
    published = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL", []))
    assert published == PROJECT["urls"]
    assert {"Homepage", "Source", "Issues"} <= published.keys()


def test_the_named_versions_of_python_are_those_that_are_asked_for() -> None:
    """From the lowest one on, and this one among them, on which the tests run."""
    prefix = "Programming Language :: Python :: "
    named = [one.removeprefix(prefix) for one in PROJECT["classifiers"] if one.startswith(prefix)]
    assert f">={named[0]}" == PROJECT["requires-python"]
    assert "{}.{}".format(*sys.version_info) in named


def test_every_extra_of_the_published_page_is_there(metadata: Message) -> None:
    page = str(metadata.get_payload())
    (listed,) = re.findall(r"Extras: (.*?)\.\n", page, re.DOTALL)
    named = set(re.findall(r"`([a-z]+)`", listed))
    inner = {"test", "dev", "docs", "fuzz"}  # for those who work on the package
    assert named == set(PROJECT["optional-dependencies"]) - inner
