"""Table I in print."""

import pytest
from planted_predictions import ordered_study

from mrnetlib.evaluation.printed import table_1_text
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
