"""How Sphinx makes the book; `docs/book.py` gathers its pages and calls it."""

from docutils import nodes
from latex2mathml.converter import convert

project = "Three planes of a knee"
html_title = project
extensions = ["myst_nb"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # widgets are words by now, and their scripts would come from a server
suppress_warnings = ["myst.header", "misc.highlighting_failure", "mystnb.unknown_mime_type"]
highlight_language = "none"
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["book.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_math_renderer = "mathml"
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"


def formula(display):
    """Draw a formula as MathML, which browsers show without a script."""

    def visit(translator, node):
        translator.body.append(convert(node.astext(), display=display))
        raise nodes.SkipNode

    return visit


def setup(app):
    app.add_html_math_renderer("mathml", (formula("inline"), None), (formula("block"), None))
