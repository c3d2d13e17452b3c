"""Draw which package of mrnetlib imports which, from the imports themselves.

    python docs/packages.py          # print the diagram, as Mermaid
    python docs/packages.py --write  # put it into CONTRIBUTING.md

`names`, `files` and `parallel` are left out: everything may use them. An arrow that follows from
others is left out, too. Imports inside of functions count like all others.
"""

import argparse
import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "mrnetlib"
PAGE = ROOT / "CONTRIBUTING.md"
EVERYWHERE = {"names", "files", "parallel"}
MARKS = "<!-- packages: drawn by docs/packages.py -->\n", "<!-- end of packages -->"


def part_of(dotted: str) -> str:
    """The package or root module that a module's dotted name belongs to, "" outside mrnetlib."""
    words = dotted.split(".")
    return words[1] if words[0] == "mrnetlib" and len(words) > 1 else ""


def imported(path: Path) -> set[str]:
    """The packages and root modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module == "mrnetlib":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(part_of(node.module))
        elif isinstance(node, ast.Import):
            found |= {part_of(alias.name) for alias in node.names}
    return found - {""}


def imports(library: Path = LIBRARY) -> dict[str, set[str]]:
    """What every package and root module imports of the others."""
    found: dict[str, set[str]] = {}
    for path in sorted(library.rglob("*.py")):
        part = path.relative_to(library).parts[0].removesuffix(".py")
        if part != "__init__":
            found.setdefault(part, set()).update(imported(path) - {part})
    return found


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """Everything that a part imports, directly or not; itself where there is a circle."""
    found: set[str] = set()
    waiting = list(graph.get(start, ()))
    while waiting:
        part = waiting.pop()
        if part not in found:
            found.add(part)
            waiting += graph.get(part, ())
    return found


def diagram(graph: dict[str, set[str]]) -> str:
    """The graph as a Mermaid flowchart, from what imports down to what is imported."""
    graph = {part: used - EVERYWHERE for part, used in graph.items() if part not in EVERYWHERE}
    lines = ["```mermaid", "flowchart TD"]
    for part, used in graph.items():
        packaged = (LIBRARY / part).is_dir()
        lines.append(f"    {part}[{part}/]" if packaged else f"    {part}({part.strip('_')})")
        through = set().union(*(reachable(graph, other) for other in used)) if used else set()
        lines += [f"    {part} --> {other}" for other in sorted(used - through)]
    return "\n".join([*lines, "```", ""])


def on_page(page: str) -> str:
    """The diagram that stands between the marks of a page."""
    return page.split(MARKS[0])[1].split(MARKS[1])[0]


def main() -> None:
    """Print the diagram or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put it into CONTRIBUTING.md")
    drawn = diagram(imports())
    if not parser.parse_args().write:
        print(drawn)
        return
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    PAGE.write_text(before + MARKS[0] + drawn + MARKS[1] + after, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
