"""Settings of the documentation site; `make docs` builds it into `outputs/docs`."""

import sys
from pathlib import Path

import bionemo.geneformer_t

sys.path.append(str(Path(__file__).parent / "extensions"))

project = "Geneformer-T"
author = "NVIDIA Corporation"
project_copyright = "2024, NVIDIA Corporation"
version = release = bionemo.geneformer_t.__version__

extensions = [
    "myst_nb",  # Markdown, by myst_parser, and notebooks
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "command_line",
    "links_to_root",
    "settings_in_docstrings",
]
exclude_patterns = ["extensions"]
nitpicky = True
nitpick_ignore_regex = [
    # Libraries have their own pages, and a build needs no network to look for them.
    ("py:.*", r"(?!bionemo).*"),
    # Types of the package that are no part of its public face.
    ("py:.*", r"bionemo\.(geneformer_t\.(?!(pp|tl|pl)\.)\w+\.|scdl\.).*"),
]

default_role = "code"  # docstrings write `code` as Markdown does
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autosummary_generate = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
add_module_names = False
toc_object_entries_show_parents = "hide"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # outputs are kept in the notebooks; `make notebooks` writes them
nb_merge_streams = True
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "sphinx_book_theme"
html_title = "Geneformer-T"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_search_scorer = str(Path(__file__).parent / "extensions" / "search_scores.js")
html_copy_source = False
html_theme_options = {
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "search_as_you_type": True,
    "navbar_persistent": [],  # the search is in the side bar, and on a phone behind the lens
}
