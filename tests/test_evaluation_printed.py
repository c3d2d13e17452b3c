"""Tables in print."""

import re

import pandas as pd
import pytest
from planted_predictions import ordered_study

from mrnetlib.evaluation.printed import readable, table_1_text
from mrnetlib.evaluation.table1 import table_1
from mrnetlib.files import InputError


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_printed_table_names_its_data_and_shows_the_paper_only_for_mrnet(form):
    table = table_1(*ordered_study())
    phantom = table_1_text(table, "phantom", "the digital knee", "tune", form)
    assert "study phantom: exams of the digital knee, 10 test exams" in phantom
    assert "the highest AUC on the tune exams" in phantom
    assert "0.8914" not in phantom and "(paper)" not in phantom
    assert "not comparable" in phantom
    real = table_1_text(table, "mrnet", "MRNet", "test", form)
    assert "0.8914" in real and "AUC (paper)" in real
    assert "the highest AUC on the test exams" in real
    assert "0.8000" in real  # rounded to four decimals


def test_printed_table_has_a_cell_for_every_column():
    table = table_1(*ordered_study(["alexnet", "densenet121"]))
    lines = table_1_text(table, "mrnet", "MRNet-v1.0", "tune").splitlines()
    assert {line.count("|") for line in lines if line.startswith("|")} == {12}
    assert "DenseNet-121" in "\n".join(lines)
    escaped = table_1_text(table, "a<b", "x & y", "tune", "html")
    assert "a&lt;b" in escaped and "x &amp; y" in escaped
    with pytest.raises(InputError, match="form 'latex'"):
        table_1_text(table, "a", "b", "tune", "latex")


def test_a_table_to_be_read_has_names_as_in_print_and_no_row_numbers():
    row = ["alexnet multi", "acl", 0.12345, 1e-5, 120, "as it is_"]
    columns = ["first", "class", "auc_low", "p_holm", "n", "text"]
    found = readable(pd.DataFrame([row], columns=columns)).to_html()
    cells = re.findall(r"<t[hd][^>]*>([^<]+)</t[hd]>", found)
    assert cells[:6] == ["first", "class", "AUC, low", "p (Holm)", "exams", "text"]
    assert cells[6:] == [
        "AlexNet, multi-view",
        "ACL tear",
        "0.123",
        "&lt; 0.001",
        "120",
        "as it is ",
    ]
    again = readable(pd.DataFrame([row], columns=columns)).to_html()
    assert found == again, "an executed notebook is the same in every run"


def test_every_column_named_p_is_a_p_value_and_an_index_stays():
    names = ["p", "p_holm", "p (Holm)", "p, all equal", "plane", "positives"]
    table = pd.DataFrame([[1e-5] * 6], columns=names, index=pd.Index(["acl"], name="task"))
    found = readable(table).to_html()
    assert found.count("&lt; 0.001") == 4
    assert "ACL tear" in found and "task" in found
    assert "0.12" in readable(pd.DataFrame([[0.123]], columns=["x_y"]), digits=2).to_html()


def test_counts_are_whole_and_what_is_missing_is_a_dash():
    table = pd.DataFrame({"auc": [0.5, 1.0], "accuracy": [1.0, None], "n": [120, None]})
    found = readable(table).to_html()
    assert re.findall(r"<td[^>]*>([^<]+)</td>", found) == [
        "0.500",
        "1.000",
        "120",
        "1.000",
        "–",
        "–",
    ]
    uneven = readable(pd.DataFrame({"n": [2.5]})).to_html()
    assert "2.500" in uneven


def test_rows_over_all_architectures_and_views_have_names_as_in_print():
    table = pd.DataFrame([["all architectures single-best", "multi"]], columns=["first", "views"])
    found = readable(table).to_html()
    assert ">all architectures, single view, best plane per task<" in found
    assert ">multi-view<" in found
