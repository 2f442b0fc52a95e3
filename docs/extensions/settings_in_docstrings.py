"""Lists the settings of a command among the parameters of its Python function.

`gft.prepare_data`, `gft.train_temporal_geneformer` and `gft.evaluate_model` take the fields of a
dataclass, each of which has its docstring there; the text of the page is made of these.
`gft.pp.next_cells` and `TemporalGeneformerDataModule` take fields besides parameters of their own,
and settings themselves have nothing else.
"""

from dataclasses import fields
from typing import Any, get_type_hints

from options_as_code import options_as_code
from sphinx.application import Sphinx
from sphinx.util.typing import stringify_annotation

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings
from bionemo.geneformer_t.pp import next_cells
from bionemo.geneformer_t.run.arguments import field_docs, is_required, shown_default
from bionemo.geneformer_t.setting_values import Settings


def parameters(settings_type: type) -> list[str]:
    """Lines of an `Args:` section, a parameter for each field."""
    docs, hints = field_docs(settings_type), get_type_hints(settings_type)
    return [
        f"    {field.name} ({stringify_annotation(hints[field.name], 'smart')}): "
        f"{docs[field.name]}{shown_default(field)}"
        for field in sorted(fields(settings_type), key=is_required, reverse=True)
    ]


def add_settings(
    _app: Sphinx, _what: str, _name: str, documented: Any, _options: Any, lines: list[str]
) -> None:
    """Put the settings before `Returns:` or `Raises:`, or at the end."""
    settings_type = _settings_of(documented)
    if settings_type is None:
        return
    heading = [] if "Args:" in lines else ["", "Args:"]
    sections = [number for number, line in enumerate(lines) if line in {"Returns:", "Raises:"}]
    end = sections[0] if sections else len(lines)
    while end and not lines[end - 1]:
        end -= 1
    lines[end:end] = [*heading, *parameters(settings_type), ""]
    lines[:] = map(options_as_code, lines)


def _settings_of(documented: Any) -> type | None:
    if isinstance(documented, type) and issubclass(documented, Settings):
        return documented
    if documented is next_cells:
        return BuilderSettings
    if documented is TemporalGeneformerDataModule:
        return PairSettings
    return getattr(documented, "settings_type", None)


def shorten_signature(
    _app: Sphinx,
    _what: str,
    _name: str,
    documented: Any,
    _options: Any,
    _signature: str | None,
    returns: str | None,
) -> tuple[str, str | None] | None:
    """Show the settings that must be given, and `**settings` for dozens of others."""
    settings_type = getattr(documented, "settings_type", None)
    if settings_type is None:
        return None
    needed = [field.name for field in fields(settings_type) if is_required(field)]
    return f"({', '.join(['*', *needed, '**settings'] if needed else ['**settings'])})", returns


def setup(app: Sphinx) -> dict[str, bool]:
    """Come before napoleon, which reads the sections."""
    app.connect("autodoc-process-docstring", add_settings, priority=400)
    app.connect("autodoc-process-signature", shorten_signature)
    return {"parallel_read_safe": True}
