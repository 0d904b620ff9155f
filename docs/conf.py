"""Settings of the documentation's site: `make docs` builds it into build/docs."""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [
    str(DOCS / "extensions"),
    *(str(ROOT / one) for one in (".", "simulation", "training", "studio")),
]

from perception_contrast.core.version import __version__  # noqa: E402

project = "perception_contrast"
author = "perception_contrast maintainers"
project_copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "repository_links",
    "command_reference",
    "mathml",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["deploy"]
# Docstrings write code in single backquotes.
default_role = "code"

# Pages are read on a forge as well, so they use plain Markdown; `:::` brings what only the site shows.
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 4

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints = "description"
# The fields of a dataclass are listed once, by its docstring.
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"perception_contrast {release}"
html_short_title = project
html_static_path = ["static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6e4f", "color-brand-content": "#0b6e4f"},
    "dark_css_variables": {"color-brand-primary": "#56d4a5", "color-brand-content": "#56d4a5"},
}
