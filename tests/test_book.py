"""The book: pages of executed notebooks that need no network and say what was not run."""

import base64
import re
from pathlib import Path

import nbformat
import pytest
from conftest import script_of_docs, write_notebook
from nbformat.v4 import new_markdown_cell, new_output

from mrnetlib import study as studies
from mrnetlib.figures.style import new_figure
from mrnetlib.files import InputError
from mrnetlib.teaching.pages import executed_copy

book = script_of_docs("book")
sphinx = pytest.mark.skipif(
    not all(map(book.find_spec, ("furo", "myst_nb", "sphinx", "latex2mathml"))),
    reason="the extra 'book' is not installed",
)
#: What a page loads by itself; a link that a reader may follow is none.
LOADED = re.compile(
    r"<(?:script|img|iframe|source|embed)[^>]*\bsrc=\"([^\"]+)\""
    r"|<link[^>]*rel=\"(?:stylesheet|icon|preload|preconnect)\"[^>]*href=\"([^\"]+)\""
)


@pytest.fixture
def project(tmp_path):
    """A study with a notebook that was run for two planes, one that was not, and pages."""
    for name, text in {
        "studies/phantom.yaml": "data: phantom\ndescription: made-up knees\n",
        "README.md": "# Read me\n\n[code](mrnetlib/loop.py) [first](notebooks/00_toy.ipynb)"
        " [all](notebooks) $a^2 + b^2$\n",
        "notebooks/README.md": "# First page\n\n[up](../README.md#read-me)\n",
        "mrnetlib/loop.py": "for _ in range(3):\n    pass\n",
        "docs/teaching/README.md": "# Teaching\n\n[way](../../notebooks/01_toy.ipynb)\n",
        "Snakefile": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    study = studies.load("phantom", tmp_path)
    for name in ("00_toy", "01_toy"):
        write_notebook(tmp_path, name, "draw()")
    figure = new_figure(2, study.caption(), title="Three knees")
    png, how = figure._repr_png_()
    picture = {"image/png": base64.b64encode(png).decode()}
    run = nbformat.read(tmp_path / "notebooks" / "00_toy.ipynb", 4)
    run.cells[2].outputs = [new_output("display_data", data=picture, metadata={"image/png": how})]
    run.cells.append(new_markdown_cell("[loop](../mrnetlib/loop.py) [next](01_toy.ipynb)"))
    executed_copy(study, "x").parent.mkdir(parents=True)
    for name in ("00_toy_axial", "00_toy_coronal"):
        nbformat.write(run, executed_copy(study, name))
    return study


def test_notebooks_are_shown_as_they_were_run_or_say_that_they_were_not(project, tmp_path):
    made = book.Book(project, tmp_path / "book")
    made.gather()
    assert made.parts["Notebooks"] == [
        "notebooks/00_toy.ipynb",
        "notebooks/00_toy_coronal.ipynb",
        "notebooks/01_toy.ipynb",
    ]
    first, _, last = ((tmp_path / "book" / name).read_text() for name in made.parts["Notebooks"])
    assert "# Toy (axial)" in first and "Three knees" in first and "has not run" not in first
    assert "has not run this notebook" in last
    assert "(../mrnetlib/loop.py.md)" in first
    readme = (tmp_path / "book" / "README.md").read_text()
    assert "(notebooks/README.md)" in readme, "a folder's page stands for the folder"


def test_a_link_to_nothing_is_refused(project, tmp_path):
    (project.root / "README.md").write_text("# Read me\n\n[code](mrnetlib/gone.py)\n")
    with pytest.raises(InputError, match=r"README.md: links to mrnetlib/gone.py"):
        book.Book(project, tmp_path / "book").gather()


def test_every_link_of_the_projects_own_pages_leads_into_the_book(tmp_path):
    made = book.Book(studies.load("phantom", book.ROOT), tmp_path / "book")
    made.gather()
    assert "notebooks/09_transfer_learning_lab.ipynb" in made.parts["Notebooks"]


@sphinx
def test_the_pages_load_nothing_from_elsewhere_and_describe_their_pictures(project, tmp_path):
    made = book.Book(project, tmp_path / "source")
    made.gather()
    html = tmp_path / "html"
    assert book.build(made.folder, html) == 0
    pages = {path.relative_to(html).as_posix(): path.read_text() for path in html.rglob("*.html")}
    assert {"index.html", "search.html", "mrnetlib/loop.py.html"} <= set(pages)
    for name, text in pages.items():
        for loaded in (source or sheet for source, sheet in LOADED.findall(text)):
            if not loaded.startswith("data:"):
                place = (html / name).parent / Path(loaded.partition("?")[0])
                assert "://" not in loaded and place.resolve().is_file(), f"{name}: {loaded}"
        assert all(re.search(r'\balt="[^"]+', image) for image in re.findall(r"<img[^>]*>", text))
    styles = [path.read_text() for path in html.rglob("*.css")]
    assert not any(re.search(r"url\([\"']?(?:https?:)?//|@import", style) for style in styles)
    assert "Three knees" in pages["notebooks/00_toy.html"]
    assert "<math" in pages["README.html"]
    assert "loop" in (html / "searchindex.js").read_text()
    assert 'data-theme="dark"' in "".join(styles) or "prefers-color-scheme" in "".join(styles)
