import re

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mrnetlib.chain.report import escaped, to_html

EVIL = "<script>alert(1)</script> & <img src=http://evil.example/x.png> ![x](http://evil.example/y)"


def page():
    """A report with a description that is an attack, wherever one can stand."""
    markdown = new_output("display_data", data={"text/markdown": f"**study own: {EVIL}**"})
    printed = new_output("stream", text=EVIL)
    cells = [new_markdown_cell("# Ours, with <b>tags</b>"), new_code_cell("1")]
    cells[1].outputs = [markdown, printed]
    notebook = new_notebook(cells=cells)
    return notebook, to_html(notebook, f"00_exams (study own: {EVIL})")


def test_what_a_study_file_says_is_shown_as_text():
    notebook, html = page()
    assert "<script>alert" not in html and "<img src=http" not in html
    assert html.count("&lt;script&gt;alert(1)") == 3
    assert "Ours, with <b>tags</b>" in html
    assert notebook.cells[1].outputs[0].data["text/markdown"].endswith(f"{EVIL}**")
    shown = escaped(notebook).cells[1].outputs[0].data["text/markdown"]
    assert "<" not in shown and "&amp;" in shown


def test_a_report_fetches_nothing_and_runs_nothing():
    _, html = page()
    assert re.findall(r"<script", html) == []
    assert re.findall(r"<link|@import|<[^>]* src=.?http|url\(.?http", html) == []
    assert html.count("Content-Security-Policy") == 1
    assert html.index("default-src 'none'") < html.index("<style")
