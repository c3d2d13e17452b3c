"""A few kill points of `benchmarks.kill_points`, which does many by a command."""

import sys

import pytest

from benchmarks import kill_points

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")


def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path):
    found = kill_points.counted(kill_points.trainings(3, 0, tmp_path))
    assert found["points"] == 3 and found["signals"] == dict.fromkeys(kill_points.SIGNALS, 1)
    assert found["finished"] == found["same_bytes"] == found["runs"] >= 1
    assert found["strays"] == 0


def test_what_differs_is_seen(tmp_path):
    for number, folder in enumerate((tmp_path / "a", tmp_path / "b")):
        one = folder / "data" / "own" / "results"
        one.mkdir(parents=True)
        (one / "table1.md").write_text(f"{number}")
        (one / "provenance.json").write_text(f"{number}")
    first, second = map(kill_points.digests, (tmp_path / "a", tmp_path / "b"))
    assert first.keys() == second.keys() == {"results/table1.md"} and first != second
    (one / ".table-abcd1234.md").touch()
    assert kill_points.strays(tmp_path / "b") == [".table-abcd1234.md"]
