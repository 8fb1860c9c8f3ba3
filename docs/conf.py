"""The site: `make site` builds it in build/site, with warnings as errors."""

import re
import tomllib
from pathlib import Path

project = "mocksed"
author = "The mocksed developers"
release = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]["version"]
extensions = [
    "myst_nb",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"mocksed {release}"
html_show_copyright = False

myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120

# One page for each room, of what has a docstring; types are in the signatures.
apidoc_modules = [
    {
        "path": "../src/mocksed",
        "destination": "api",
        "module_first": True,
        "automodule_options": {"members"},
    }
]
autodoc_default_options = {"ignore-module-all": True}  # what is imported is documented where it is written
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
default_role = "py:obj"  # names between backticks are links where they can be
suppress_warnings = ["ref.python"]  # napoleon takes the names of attributes for references, and some are ambiguous


def _links(app, page, source) -> None:
    """Lead links to files that the site includes to their pages."""
    pages = {"../config/README.md": "config.md", "../CONTRIBUTING.md": "contributing.md"}
    for path, target in pages.items():
        source[0] = re.sub(re.escape(f"]({path}"), f"]({target}", source[0])


def setup(app) -> None:
    """Register the hook."""
    app.connect("source-read", _links)
