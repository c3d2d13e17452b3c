"""Executed notebooks as pages: nothing on them asks for a kernel or the network."""

import base64
import re
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mrnetlib import study as studies
from mrnetlib.figures.style import new_figure
from mrnetlib.names import PLANES
from mrnetlib.teaching import pages

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def model(name, **state):
    return {"model_name": name, "state": state}


#: What nbclient stores of a progress bar, of a slider with its picture, and of a menu.
STATES = {
    "bar": model("HBoxModel", children=["IPY_MODEL_left", "IPY_MODEL_on", "IPY_MODEL_right"]),
    "left": model("HTMLModel", value="epochs: 100%"),
    "on": model("FloatProgressModel", value=4.0, max=4.0, bar_style="success"),
    "right": model("HTMLModel", value="&nbsp;4/4&nbsp;[00:02&lt;00:00]"),
    "box": model("VBoxModel", children=["IPY_MODEL_slider", "IPY_MODEL_menu", "IPY_MODEL_shown"]),
    "slider": model("IntSliderModel", description="slice", value=12),
    "menu": model("DropdownModel", description="plane", index=1, _options_labels=PLANES),
    "shown": model(
        "OutputModel", outputs=[{"output_type": "stream", "name": "stdout", "text": "drawn"}]
    ),
    "closed": model("HBoxModel", children=[]),
}  # fmt: skip


def executed(*outputs):
    """A notebook whose cells have these outputs, with the widgets' states."""
    cells = [new_code_cell("1", outputs=[output]) for output in outputs]
    notebook = new_notebook(cells=cells)
    notebook.metadata["widgets"] = {pages.STATES: {"state": STATES}}
    return notebook


def view(name):
    data = {pages.WIDGET: {"model_id": name}, "text/plain": "  0%|   | 0/4"}
    return new_output("display_data", data=data)


def picture():
    """A figure as a notebook stores it."""
    figure = new_figure(3, "study tiny: made up", title="Knees & planes")
    figure.subplots().set(xlabel="epoch", ylabel="loss <test>", title="axial")
    png, how = figure._repr_png_()
    data = {"image/png": base64.b64encode(png).decode(), "text/plain": "<StudyFigure>"}
    return new_output("display_data", data=data, metadata={"image/png": how})


def test_progress_bars_and_sliders_become_the_words_they_last_showed():
    page = pages.still(executed(view("bar"), view("box"), view("closed"), view("unknown")))
    said = [[output.text for output in cell.outputs] for cell in page.cells]
    assert said == [
        ["epochs: 100% 4/4 [00:02<00:00]\n"],
        ["slice 12 plane coronal\n", "drawn"],
        [],
        [],
    ]
    assert "widgets" not in page.metadata


def test_a_picture_is_described_by_what_is_written_in_it():
    (output,) = pages.still(executed(picture())).cells[0].outputs
    assert list(output.data) == ["text/html"]
    (words,) = re.findall('alt="([^"]+)"', output.data["text/html"])
    for word in ("Knees &amp; planes", "axial", "epoch", "loss &lt;test&gt;", "study tiny"):
        assert word in words


def test_a_report_fetches_nothing_for_its_widgets_and_pictures():
    body = pages.to_html(executed(view("bar"), picture()), "Toy", str)
    assert "epochs: 100%" in body and "jupyter-widgets/html-manager" not in body
    assert re.findall(r"<img[^>]+src=.(?!data:)", body) == []


@pytest.fixture
def study(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "phantom.yaml").write_text("data: phantom\narchitectures: [alexnet]\n")
    found = studies.load("phantom", tmp_path)
    found.results.mkdir(parents=True)
    return found


def test_links_of_a_report_lead_to_reports_and_files(study):
    prose = (
        "[a](01_preprocessing.ipynb#two) [b](02_per_plane_training.ipynb) [c](../docs/phantom.md)"
        ' [d](06_choices.ipynb) [e](https://a.b/c.ipynb) [f](#here) ![g](pic.png "words")'
    )
    notebook = new_notebook(cells=[new_markdown_cell(prose)])

    def led():
        page = pages.relinked(notebook, lambda target: pages.from_report(study, target))
        return re.findall(r"\]\(([^)]+)\)", page.cells[0].source)

    above = "../../.."
    assert led() == [
        "01_preprocessing.html#two",
        "02_per_plane_training_alexnet_axial.html",
        f"{above}/docs/phantom.md",
        f"{above}/notebooks/06_choices.ipynb",
        *("https://a.b/c.ipynb", "#here"),
        f'{above}/notebooks/pic.png "words"',
    ]
    for name in ("02_per_plane_training_alexnet_coronal", "06_choices"):
        (study.results / f"{name}.html").touch()
    assert led()[1] == "02_per_plane_training_alexnet_coronal.html"
    assert led()[3] == "06_choices.html"


def test_every_link_of_a_notebook_leads_somewhere_from_its_report(study):
    targets = [t for path in NOTEBOOKS for _, t, _ in pages.LINK.findall(path.read_text("utf-8"))]
    assert len(targets) > 10
    for target in targets:
        led = study.results / pages.from_report(study, target)
        assert led.suffix == ".html" or (ROOT / led.resolve().relative_to(study.root)).exists()
