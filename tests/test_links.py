"""Every relative link of a page leads to a file that is there, and to a heading that it has."""

import re
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
PATTERNS = (
    "*.md",
    "docs/*.md",
    "docs/teaching/*.md",
    "results/*.md",
    "notebooks/**/*.md",
    "notebooks/**/*.ipynb",
)
FOUND = {path.relative_to(ROOT) for pattern in PATTERNS for path in ROOT.glob(pattern)}
PAGES = sorted(ROOT / name for name in FOUND if not any(part[0] == "." for part in name.parts))
LINK = re.compile(r"\]\(<?((?!\w+:)[^)>\s]+)>?(?: \"[^\"]*\")?\)|(?:src|href)=\"((?!\w+:)[^\"]+)\"")


def prose(path: Path) -> str:
    """A page's Markdown; of a notebook, that of its cells of prose. Code is no link."""
    if path.suffix == ".ipynb":
        cells = nbformat.read(path, 4).cells
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    else:
        text = path.read_text(encoding="utf-8")
    return re.sub(
        r"```.*?```|`[^`\n]*`", lambda code: re.sub(r"[\[\]()]", "", code[0]), text, flags=re.S
    )


def links(path: Path) -> list[str]:
    return [unquote(markdown or html) for markdown, html in LINK.findall(prose(path))]


def headings(path: Path) -> set[str]:
    """The names of a page's headings in links, as GitHub and JupyterLab make them."""
    titles = re.findall(r"^#+ +(.+?)\s*$", prose(path), re.MULTILINE)
    plain = {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}
    whole = {title.replace(" ", "-") for title in titles}
    return {name.lower() for name in plain} | {name.lower() for name in whole}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_what_is_there(path):
    for link in links(path):
        target, _, heading = link.partition("#")
        place = (path.parent / target).resolve() if target else path
        assert place.is_relative_to(ROOT), f"{link} leads out of the project"
        assert place.exists(), link
        if heading and place.suffix in (".md", ".ipynb"):
            assert heading.lower() in headings(place), link


def test_links_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        '[a](b.md#c) ![d](e.png "f") [g](https://h.i/j) `[k](l.md)` <img src="m.png">'
        "[n](#Two-times)\n\n## Two times: `x` · y\n"
    )
    assert links(page) == ["b.md#c", "e.png", "m.png", "#Two-times"]
    assert "two-times-x--y" in headings(page)
    code = [link for path in PAGES for link in links(path) if link.endswith(".py")]
    assert code, "the notebooks link to the library's code"


def test_the_glossary_is_alphabetical():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = [
        word.lower().replace("-", " ") for word in re.findall(r"^<a .*?\*\*(.+?)\*\*", text, re.M)
    ]
    assert len(words) > 50 and words == sorted(words)
