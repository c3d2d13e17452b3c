"""An executed notebook as one HTML page that fetches nothing, runs nothing, and shows what files
say as the text that it is."""

import copy

import nbformat
from nbconvert import HTMLExporter

#: nbconvert's page without the scripts that it would fetch from elsewhere. The policy has browsers
#: take pictures and styles from the page alone, and run no script, whoever put it there.
TEMPLATE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js %}<meta http-equiv="Content-Security-Policy" content="default-src 'none';
img-src data:; style-src 'unsafe-inline'; font-src data:">{% endblock html_head_js %}
{% block jupyter_widgets %}{% endblock jupyter_widgets %}
{% block html_head_js_mathjax %}{% endblock html_head_js_mathjax %}
{% block html_head_js_mermaidjs %}{% endblock html_head_js_mermaidjs %}
"""


def to_html(notebook: nbformat.NotebookNode, title: str) -> str:
    """An executed notebook as one HTML page with its pictures inside."""
    exporter = HTMLExporter(
        raw_template=TEMPLATE, exclude_input_prompt=True, exclude_output_prompt=True
    )
    body, _ = exporter.from_notebook_node(escaped(notebook), {"metadata": {"name": title}})
    return body


def escaped(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy in whose Markdown outputs, which quote study files and tables, no tag and no picture
    can begin."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "text/markdown" in output.get("data", {}):
                text = "".join(output["data"]["text/markdown"])
                for mark, instead in (("&", "&amp;"), ("<", "&lt;"), ("![", "!&#91;")):
                    text = text.replace(mark, instead)
                output["data"]["text/markdown"] = text
    return notebook
