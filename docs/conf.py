"""The documentation site: `make docs`, where every warning is an error."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from executed import write_notebooks  # noqa: E402
from reference import write_reference  # noqa: E402

import metapt_explore  # noqa: E402

project = "metapt_explore"
author = "the authors of metapt_explore"
project_copyright = "2026, the authors of metapt_explore"
release = version = metapt_explore.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "jupyter_execute"]  # myst-nb keeps what cells showed beside the site
html_theme = "furo"
html_title = "metapt_explore"
html_static_path = ["style", "_generated/static"]
html_css_files = ["tables.css"]
html_copy_source = False

# Notebooks come with the outputs of their run (executed.py): Sphinx runs nothing.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# The included report begins below its own title, so its headings start a level lower than the page's.
suppress_warnings = ["myst.header"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
# Words in single backticks in docstrings are code, not titles.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False


write_reference(HERE / "_generated")
write_notebooks(HERE / "_generated" / "notebooks", HERE / "_generated" / "static")
