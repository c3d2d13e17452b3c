"""Numbers in prose are those of the results: the check of docs/prose.py, and that it bites."""

import nbformat
import pytest
from conftest import script_of_docs
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

prose = script_of_docs("prose")
PLACES = [path.relative_to(prose.ROOT).as_posix() for path in prose.pages()]


@pytest.fixture(scope="module")
def known():
    return prose.numbers()


@pytest.fixture
def page(tmp_path):
    """Write a page; gives its path."""

    def write(text, name="README.md"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


@pytest.mark.parametrize("place", PLACES)
def test_the_pages_say_what_the_results_say(place, known):
    assert prose.problems(prose.ROOT / place, known) == [], "run: python docs/prose.py --write"


def test_every_number_is_said_somewhere(known):
    """A key that no page uses is a source that nobody needs."""
    said = "".join((prose.ROOT / place).read_text(encoding="utf-8") for place in PLACES)
    assert {key for _, key, _, _ in prose.MARKED.findall(said)} == set(known)


def test_a_changed_number_is_found_and_written(page, known):
    text = (prose.ROOT / "README.md").read_text(encoding="utf-8")
    mark = f"<!-- n: make study -->{known['make study']}<!-- /n -->"
    assert mark in text
    path = page(text.replace(mark, mark.replace(known["make study"], "7 min")))
    (found,) = prose.problems(path, known)
    assert f"make study is '7 min', the results say '{known['make study']}'" in found
    prose.put_in(path, known)
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    "claim",
    [
        *("13 s", "1.5 to 1.8 min", "3.3 GB", "half a minute", "ten minutes"),
        *("1,100 lines of code", "an AUC of .83", "AUC 0.97"),
    ],
)
def test_a_number_without_a_source_is_found(page, claim):
    (found,) = prose.problems(page(f"It took {claim}, they say."), {})
    assert "has no source" in found
    assert prose.problems(page("An AUC of 0.5 on 120 exams is guessing, at 3 T."), {}) == []


def test_an_unknown_key_is_named_and_left(page):
    path = page("It has <!-- n: knees -->7<!-- /n --> knees.")
    assert "'knees' is no number that is known" in prose.problems(path, {"exams": "7"})[0]
    prose.put_in(path, {"exams": "8"})
    assert "-->7<!--" in path.read_text(encoding="utf-8")


def test_of_a_notebook_only_the_prose_counts_and_its_form_stays(page):
    cells = [new_markdown_cell("It took 3 min."), new_code_cell("wait = '3 min'")]
    path = page(nbformat.writes(new_notebook(cells=cells)), "00_toy.ipynb")
    assert len(prose.problems(path, {})) == 1
    marked = path.read_text(encoding="utf-8").replace("3 min.", "<!-- n: a -->3 min<!-- /n -->.")
    path.write_text(marked, encoding="utf-8")
    prose.put_in(path, {"a": "4 min"})
    assert path.read_text(encoding="utf-8") == marked.replace("-->3 min", "-->4 min")
    assert prose.problems(path, {"a": "4 min"}) == []


def test_what_a_changelog_says_of_a_version_that_is_out_stays(page):
    mark = "<!-- n: a -->{}<!-- /n -->"
    path = page(f"# Log\n\n## 2, unreleased\n\n{mark}\n\n## 1\n\n{mark} 5 min\n", "CHANGELOG.md")
    prose.put_in(path, {"a": "9"})
    text = path.read_text(encoding="utf-8")
    assert text.count(mark.format(9)) == 1
    assert text.index(mark.format(9)) < text.index(mark)
    assert prose.problems(path, {"a": "9"}) == []


def test_lines_of_code_are_neither_blank_nor_words(page):
    words = '"""Words.\n\nMore."""\n\n# Why.\nx = 1\n'
    code = words + 'def f():\n    """It."""\n    return """a\nb"""\n'
    assert prose.lines_of_code(page(code, "one.py")) == 4


def test_a_run_that_noted_more_is_said_more_of():
    old = {"seconds_of_all_runs": 100.0, "machine": {}}
    assert (prose.elapsed(old), prose.cores(old)) == (50.0, 2)
    new = {"seconds_of_all_runs": 100.0, "seconds_while_any_ran": 31.0, "machine": {"cores": 4}}
    assert (prose.elapsed(new), prose.cores(new)) == (31.0, 4)
    assert [prose.duration(taken) for taken in (13.4, 89.4, 90)] == ["13 s", "89 s", "2 min"]
    assert (prose.gigabytes(None), prose.gigabytes(3000)) == (prose.UNKNOWN, "3.1 GB")
