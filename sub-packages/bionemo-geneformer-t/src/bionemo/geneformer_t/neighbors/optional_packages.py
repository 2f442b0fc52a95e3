"""Packages that only some builders need."""

from importlib import metadata, util

_EXTRAS = {"moscot": "ot", "cellrank": "cellrank"}
"""Package and the extra of this package that installs it."""


def is_installed(package: str) -> bool:
    """Whether a package can be imported, without importing it."""
    return util.find_spec(package) is not None


def version(package: str) -> str:
    """The installed version of a package."""
    return metadata.version(package)


def install_command(package: str) -> str:
    """How to get a package."""
    return f"pip install 'bionemo-geneformer-t[{_EXTRAS[package]}]'"


def need(package: str, setting: str) -> None:
    """Refuse to go on without a package.

    Raises:
        ImportError: It is not installed; the message says how to install it.
    """
    if not is_installed(package):
        raise ImportError(
            f"{setting} needs the package {package}, which is not installed; "
            f"{install_command(package)}"
        )
