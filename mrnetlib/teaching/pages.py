"""Executed notebooks as pages that need neither a kernel nor a network.

What is alive in JupyterLab is dead on a page: progress bars and sliders become the words that they
last showed. Pictures get their alternative texts, and links lead to where the reader of the page
finds the file.
"""

import copy
import html
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output

from mrnetlib.chain import report
from mrnetlib.chain.steps import main_steps
from mrnetlib.study import Study

WIDGET = "application/vnd.jupyter.widget-view+json"
STATES = "application/vnd.jupyter.widget-state+json"

#: A link of Markdown to a file: not to an address or a heading.
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]+)([^)]*\))")


def executed_copy(study: Study, run: str) -> Path:
    """Where the executed copy of a run's notebook is: ``data/<study>/executed/<run>.ipynb``."""
    return study.data / "executed" / f"{run}.ipynb"


def to_html(notebook: NotebookNode, title: str, lead: Callable[[str], str]) -> str:
    """An executed notebook as one HTML page with its pictures inside.

    Parameters
    ----------
    lead : gives the address of a link's target, as the notebook has it, from the page's place.
    """
    return report.to_html(relinked(still(notebook), lead), title)


def relinked(notebook: NotebookNode, lead: Callable[[str], str]) -> NotebookNode:
    """A copy of a notebook whose prose links to `lead(target)` instead of each target."""
    page = copy.deepcopy(notebook)
    for cell in page.cells:
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(lambda m: m[1] + lead(m[2]) + m[3], cell.source)
    return page


def still(notebook: NotebookNode) -> NotebookNode:
    """A copy of an executed notebook without anything that asks for a kernel or the network."""
    page = copy.deepcopy(notebook)
    states = page.metadata.pop("widgets", {}).get(STATES, {}).get("state", {})
    for cell in page.cells:
        if cell.cell_type == "code":
            outputs = [o for output in cell.outputs for o in _without_widget(output, states)]
            cell.outputs = [_with_alternative(output) for output in outputs]
    return page


def _without_widget(output: NotebookNode, states: dict[str, Any]) -> list[NotebookNode]:
    """An output, or what its widget showed: words, and outputs of its own."""
    view = output.get("data", {}).get(WIDGET)
    if view is None:
        return [output]
    words, outputs = _shown(view["model_id"], states)
    said = [new_output("stream", text=f"{words}\n")] if words else []
    return said + outputs


def _shown(model: str, states: dict[str, Any]) -> tuple[str, list[NotebookNode]]:
    """What a widget and those within it last showed."""
    state = states.get(model, {}).get("state", {})
    words, outputs = [], list(map(NotebookNode, state.get("outputs", ())))
    for child in state.get("children", ()):
        more, below = _shown(child.removeprefix("IPY_MODEL_"), states)
        words.append(more)
        outputs += below
    if "bar_style" not in state:  # of a progress bar, the numbers beside it say enough
        words += [state.get("description") or "", _value(state)]
    return " ".join(word for word in words if word), outputs


def _value(state: dict[str, Any]) -> str:
    """What a widget without children shows: its text, its number, or the chosen option."""
    if (labels := state.get("_options_labels")) and state.get("index") is not None:
        return str(labels[state["index"]])
    value = state.get("value")
    text = "" if value is None else str(value)
    return html.unescape(re.sub(r"<[^>]+>", "", text)).replace("\xa0", " ").strip()


def _with_alternative(output: NotebookNode) -> NotebookNode:
    """A picture with an alternative text as HTML, which nbconvert and Sphinx leave as it is."""
    how = output.get("metadata", {}).get("image/png", {})
    if "alt" not in how or "image/png" not in output.get("data", {}):
        return output
    words, source = html.escape(how["alt"]), output.data["image/png"].replace("\n", "")
    size = " ".join(f'{side}="{how[side]}"' for side in ("width", "height") if side in how)
    image = f'<img alt="{words}" {size} src="data:image/png;base64,{source}">'
    shown = copy.deepcopy(output)
    shown.data = NotebookNode({"text/html": f'<div class="picture">{image}</div>'})
    return shown


def from_report(study: Study, target: str) -> str:
    """Where a notebook's link leads from its report in ``data/<study>/results/``.

    To the other notebook's report where there is or will be one, else to the file itself.
    """
    stem = Path(target).stem
    if Path(target).suffix == ".ipynb":
        reports = sorted(path.name for path in study.results.glob(f"{stem}*.html"))
        planned = (Path(name).name for step in main_steps(study) for name in step.outputs)
        reports += [name for name in planned if name.startswith(stem) and name.endswith(".html")]
        if reports:
            return reports[0]
    place = os.path.relpath(study.root / "notebooks" / target, study.results)
    return Path(place).as_posix()
