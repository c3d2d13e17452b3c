"""The notebooks as a student has them: JupyterLab in a browser."""

import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from browser import jupyterlab, needs_chromium
from conftest import write_notebook
from nbformat.v4 import new_markdown_cell

from mrnetlib.names import PLANES, TASKS

ROOT = Path(__file__).resolve().parent.parent

NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))

#: Made for `make choices`, which trains for many minutes: this one is opened, not run.
LONG = {"06_choices_that_move_the_number.ipynb"}

#: What the notebooks' parameters are instead, and the lab's, which trains many networks.
SMALL = {"study": "tiny", "planes": ",".join(PLANES), "tasks": ",".join(TASKS)}
LAB = {"sizes": "6,12", "few": 12, "epochs": 2, "seeds": 2}

TINY = """extends: phantom
description: a few synthetic knees, for a test
train_exams: 24
test_exams: 12
tune_fraction: 0.5
weights: none
head: random
architectures: [alexnet]
epochs: 1
patience: 1
seeds: 1
once: []
scratch_study: ""
"""

pytestmark = needs_chromium
everything = pytest.mark.skipif(
    os.environ.get("MRNETLIB_BROWSER") != "all", reason="takes minutes; run `make test-browser`"
)

#: What the quick test runs: a picture of the library's, and a widget that answers.
TOY = (
    "from mrnetlib.figures.style import new_figure\n\nnew_figure(1, 'toy', title='Toy')",
    "from ipywidgets import IntSlider, interact\n\n"
    "_ = interact(lambda slice: print('slice', slice), slice=IntSlider(1, 0, 5))",
)


def copy_of_project(folder: Path) -> Path:
    """A copy to open: running its notebooks, JupyterLab saves into the copy."""
    for name in ("notebooks", "studies", "docs", "results"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copytree(ROOT / "mrnetlib", folder / "mrnetlib")
    for path in [*ROOT.glob("*.md"), ROOT / "Snakefile"]:
        shutil.copy(path, folder)
    return folder


def test_a_notebook_runs_its_widget_answers_and_its_link_opens_the_code(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    write_notebook(tmp_path, "toy", *TOY)
    path = tmp_path / "notebooks" / "toy.ipynb"
    toy = nbformat.read(path, 4)
    toy.cells.append(new_markdown_cell("[the code](../mrnetlib/code.py)"))
    nbformat.write(toy, path)
    (tmp_path / "mrnetlib").mkdir()
    (tmp_path / "mrnetlib" / "code.py").write_text("found = True\n", encoding="utf-8")
    with jupyterlab(tmp_path) as lab:
        lab.open("notebooks/toy.ipynb")
        lab.run_all(60)
        assert any("image/png" in output.get("data", {}) for output in lab.outputs())
        lab.page.keep_picture("toy")
        lab.page.press(".noUi-handle", "ArrowRight", times=3)
        lab.page.wait_for("document.body.innerText.includes('slice 4')", 20)
        assert lab.follow("the code") == "code.py"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on a copy of the project, with a study that is made in a minute."""
    root = copy_of_project(tmp_path_factory.mktemp("project"))
    (root / "studies" / "tiny.yaml").write_text(TINY, encoding="utf-8")
    for path in (root / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, 4)
        cell = next(c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
        for parameter, value in (SMALL | (LAB if path.name.startswith("09") else {})).items():
            line = rf"^{parameter} = [^#\n]*"
            cell.source = re.sub(line, f"{parameter} = {value!r}  ", cell.source, flags=re.M)
        nbformat.write(notebook, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(root))
        with jupyterlab(root) as opened:
            yield opened


#: What is drawn of the slices: a number for the bytes of each plane's picture.
DRAWN = """Promise.all([...document.querySelectorAll('.mrnetlib-plane img')].map(image =>
fetch(image.src).then(found => found.arrayBuffer()).then(found =>
new Uint8Array(found).reduce((sum, byte) => (31 * sum + byte) >>> 0, 7))))"""

#: One notch of the wheel over the first plane, backwards.
WHEEL = """document.querySelector('.mrnetlib-plane img').dispatchEvent(
new WheelEvent('wheel', {deltaY: -100, bubbles: true, cancelable: true}))"""


def browse_slices(lab):
    """Turn to the next slice by a key and back by the wheel: the other planes' lines move, too."""
    cells = lab.cells()
    lab.show(next(i for i, cell in enumerate(cells) if "browser.Browser(" in cell["source"]))
    lab.page.wait_for("document.querySelectorAll('.mrnetlib-plane img').length === 3", 20)
    before = lab.page.run(DRAWN)
    lab.page.keep_picture("slices before")
    lab.page.press(".mrnetlib-plane .noUi-handle", "ArrowRight")
    lab.page.wait_for(f"{DRAWN}.then(now => now.every((one, i) => one !== {before}[i]))", 30)
    lab.page.keep_picture("slices after")
    lab.page.run(f"{WHEEL}, 0")
    lab.page.wait_for(f"{DRAWN}.then(now => now.every((one, i) => one === {before}[i]))", 30)


@everything
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_notebook_runs_and_its_links_open_something(lab, name):
    lab.open(f"notebooks/{name}")
    try:
        if name not in LONG:
            lab.run_all(420)
        lab.page.keep_picture(name)
        if name.startswith("08"):
            browse_slices(lab)
        for words in lab.links():
            assert lab.follow(words), words
    finally:
        lab.close()
    assert lab.page.complaints == []
