"""Make a book of the notebooks as a run left them, the pages about them, and the code they link to.

    python docs/book.py [STUDY]     # or: make book

The book, ``data/<study>/book/html/``, is a folder of static pages that needs no server and
no network. Each notebook is shown with the outputs of the study's last run; one that this study has
not run is shown without, and says so. Sphinx makes it: of the tools for this, it is the one whose
parts, theme included, come from the package index alone (Jupyter Book 2 fetches its theme from a
server when it builds, Quarto its program when it is installed).
"""

import argparse
import os
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell

from mrnetlib.files import InputError, write_text
from mrnetlib.study import Study, load
from mrnetlib.teaching.pages import LINK, executed_copy, relinked, still

ROOT = Path(__file__).resolve().parent.parent

#: Pages in the order in which they are read; a pattern stands for all that fit and came not before.
PARTS = {
    "Start": ["README.md", "notebooks/README.md"],
    "Notebooks": ["notebooks/[0-9]*.ipynb"],
    "In a class": ["docs/teaching/README.md", "docs/teaching/*.md", "notebooks/solutions/*.ipynb"],
    "Background": ["docs/*.md", "results/README.md", "CONTRIBUTING.md", "CHANGELOG.md"],
}

#: What is shown as a page of code where a page links to it.
CODE = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".txt": "text", "": "text"}

NOT_RUN = (
    "```{{note}}\nThe study `{study}` has not run this notebook, so it is shown without results: "
    "`python -m mrnetlib notebook {stem} --study {study}` runs it.\n```"
)
SOLUTIONS = "```{note}\nSolutions are shown as they are written, not run.\n```"
RUN_OF = "```{{note}}\nThis page is the run `{run}`; {others}.\n```"


def pages(root: Path) -> dict[str, list[str]]:
    """The sources of the pages of each part."""
    found, seen = {}, set()
    for part, patterns in PARTS.items():
        paths = [path for pattern in patterns for path in sorted(root.glob(pattern))]
        names = [path.relative_to(root).as_posix() for path in paths]
        found[part] = [name for name in dict.fromkeys(names) if name not in seen]
        seen |= set(found[part])
    return found


class Book:
    """The sources of a book, gathered in a folder in which they lie as in the project.

    Parameters
    ----------
    folder : is emptied first.
    """

    def __init__(self, study: Study, folder: Path):
        self.study, self.root, self.folder = study, study.root, folder
        self.parts = pages(self.root)
        self.pages = {name for names in self.parts.values() for name in names}
        self.linked: set[str] = set()

    def gather(self) -> None:
        """Write all sources."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for part, names in self.parts.items():
            written = [name for page in names for name in self.write(page)]
            self.parts[part] = written
        write_text(self.folder / "index.md", self.index())

    def write(self, name: str) -> list[str]:
        """Write one page, or one for each run of a notebook; gives their names."""
        if name.endswith(".ipynb"):
            return self.write_notebook(name)
        text = (self.root / name).read_text(encoding="utf-8")
        if not re.search("^# ", text, re.MULTILINE):
            text = f"# `{name}`\n\n{text}"  # a page without a title has no place in the list
        lead = LINK.sub(lambda m: m[1] + self.lead(name, m[2]) + m[3], text)
        write_text(self.folder / name, without_folds(lead))
        return [name]

    def write_notebook(self, name: str) -> list[str]:
        """Write a notebook's runs; the first has the notebook's own name, to which links lead."""
        stem, folder = Path(name).stem, Path(name).parent.as_posix()
        copies = sorted(executed_copy(self.study, stem).parent.glob(f"{stem}*.ipynb"))
        copies = copies if folder == "notebooks" else []
        runs = copies or [self.root / name]
        written = []
        for path in runs:
            page = name if not written else f"{folder}/{path.name}".replace(",", "_")
            notebook = relinked(still(nbformat.read(path, 4)), lambda t: self.lead(name, t))
            others = [copy.stem for copy in copies if copy != path]
            note = NOT_RUN.format(study=self.study.name, stem=stem) if not copies else ""
            note = note if folder == "notebooks" else SOLUTIONS
            if others:
                note = RUN_OF.format(run=path.stem, others=f"{len(others)} more stand beside it")
            titled(notebook, path.stem.removeprefix(stem).strip("_,").replace("_", ", "), note)
            write_text(self.folder / page, nbformat.writes(notebook))
            written.append(page)
        return written

    def lead(self, page: str, target: str) -> str:
        """The address in the book of what a page links to: a page, a page of code, or a copy."""
        path = Path(os.path.normpath(self.root / Path(page).parent / target))
        if not path.is_relative_to(self.root) or not path.exists():
            raise InputError(f"{page}: links to {target}, which is not there. Mend the link.")
        if path.is_dir():
            return self.lead(page, f"{target.rstrip('/')}/README.md")
        name = path.relative_to(self.root).as_posix()
        if path.suffix == ".md" and name not in self.pages | self.linked:
            self.linked.add(name)
            self.write(name)
        elif name not in self.pages | self.linked:
            name = self.show_code(name) if path.suffix in CODE else self.copy(name)
        return Path(os.path.relpath(name, Path(page).parent)).as_posix()

    def show_code(self, name: str) -> str:
        """Write a page with a file's text; gives its name."""
        page = f"{name}.md"
        if page not in self.linked:
            self.linked.add(page)
            text = (self.root / name).read_text(encoding="utf-8").rstrip()
            language = CODE[Path(name).suffix]
            write_text(self.folder / page, f"# `{name}`\n\n`````{language}\n{text}\n`````\n")
        return page

    def copy(self, name: str) -> str:
        """Copy a file that is shown or downloaded as it is; gives its name."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.root / name, self.folder / name)
        return name

    def index(self) -> str:
        """The first page: the parts with their pages, and what else these link to."""
        parts = self.parts | {"Code and files": sorted(self.linked)}
        lines = ["# Three planes of a knee", "", f"Results: {self.study.caption()}.", ""]
        for part, names in parts.items():
            if names:
                entries = [re.sub(r"\.(md|ipynb)$", "", name) for name in names]
                lines += ["```{toctree}", ":maxdepth: 1", f":caption: {part}", "", *entries]
                lines += ["```", ""]
        return "\n".join(lines)


def without_folds(text: str) -> str:
    """Markdown whose folded parts are open: what is in them is Markdown, too."""
    text = re.sub(r"<details><summary>(.*?)</summary>", r"**\1**", text)
    return text.replace("</details>", "")


def titled(notebook: nbformat.NotebookNode, run: str, note: str) -> None:
    """Tell runs of the same notebook apart by its title, and put a note below the first cell."""
    if run:
        first = notebook.cells[0]
        first.source = re.sub(r"^(# .*)$", rf"\1 ({run})", first.source, count=1, flags=re.M)
    if note:
        notebook.cells.insert(1, new_markdown_cell(note))


def build(source: Path, html: Path) -> int:
    """Make the pages; a warning, as of a link that leads nowhere, is an error at the end."""
    if not find_spec("furo"):
        raise InputError("The book's packages are missing: pip install -e '.[book]' gets them.")
    from sphinx.cmd.build import main as sphinx

    shutil.rmtree(html, ignore_errors=True)
    how = ["-q", "--keep-going", "-W", "-c", str(ROOT / "docs" / "book"), "-b", "html"]
    return sphinx([*how, "-d", str(html.parent / "doctrees"), str(source), str(html)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("study", nargs="?", default="phantom", help="whose runs are shown")
    try:
        study = load(parser.parse_args().study, ROOT)
        book = Book(study, study.data / "book" / "source")
        book.gather()
        html = study.data / "book" / "html"
        status = build(book.folder, html)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"Book: {html / 'index.html'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
