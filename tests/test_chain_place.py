"""The place of a running study: what an earlier run left goes, what others write stays."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mrnetlib import files
from mrnetlib.chain import place
from mrnetlib.files import InputError, written_whole
from mrnetlib.settings import Settings
from mrnetlib.study import Study

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows locks no open file")


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setattr(place.tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return Study("own", Settings(data="phantom"), tmp_path)


def test_half_written_files_of_killed_processes_go_and_others_stay(study):
    left = study.data / "checkpoints" / ".one-ab12_xyz.pt"
    files.write_text(left, "half")
    ours = [study.data / name for name in (".progress", ".running", "a-b.csv", ".own-name.csv")]
    for path in ours:
        files.write_text(path, "kept")
    with written_whole(study.data / "checkpoints" / "two.pt") as writing:
        assert place.sweep(study.data) == [left]
        writing.write_text("whole")
    assert (study.data / "checkpoints" / "two.pt").read_text() == "whole"
    assert all(path.exists() for path in ours) and not left.exists()


def test_a_forgotten_file_goes_where_nothing_can_be_locked(study, monkeypatch):
    left = study.data / ".one-ab12_xyz.pt"
    files.write_text(left, "half")
    monkeypatch.setattr(place, "lock_file", lambda file, unknown: unknown)
    assert place.sweep(study.data) == []
    os.utime(left, (time.time() - 100_000,) * 2)
    assert place.sweep(study.data) == [left]


def test_temporary_folders_have_one_name_and_are_emptied(study):
    with place.taken(study) as how:
        folder = how["env"]["TMPDIR"]
        assert how["env"]["JUPYTER_RUNTIME_DIR"] == folder
    (study.root / "temporary" / folder).mkdir()
    (study.root / "temporary" / folder / "of a killed run").touch()
    with place.taken(study) as how:
        assert how["env"]["TMPDIR"] == folder and not any(Path(folder).iterdir())
    assert list((study.root / "temporary").iterdir()) == []
    with place.taken(study, alone=False) as how:
        assert how["env"].get("TMPDIR") == os.environ.get("TMPDIR")


def test_somebody_elses_folder_is_not_taken(study):
    with place.temporary_folder(study) as folder:
        pass
    folder.symlink_to(study.root)
    with place.temporary_folder(study) as other:
        assert other != folder and other.parent == folder.parent
    assert folder.is_symlink() and study.root.exists()


def test_processes_of_a_killed_run_are_ended_and_others_are_not(study, monkeypatch):
    monkeypatch.setattr(place, "PATIENCE", 0.05)
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    marks = (str(study.data), str(study.data) + "2")
    orphan, other = (
        subprocess.Popen(sleep, env=os.environ | {place.STUDY_VARIABLE: mark}) for mark in marks
    )
    try:
        place.end_orphans(study)
        assert orphan.wait(20) == -9 and other.poll() is None
    finally:
        for process in (orphan, other):
            process.kill()
            process.wait()


def test_a_study_is_refused_while_another_process_runs_it_and_not_when_that_has_ended(study):
    with place.taken(study), pytest.raises(InputError, match="is running it"):
        place.taken(study).__enter__()
    # Snakemake outlives its parent for a moment, and holds the lock.
    program = "import sys, time; sys.stdin.readline()"
    with place.taken(study) as how:
        heir = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, pass_fds=how["pass_fds"]
        )
        words = (study.data / ".running").read_text()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    number = words.partition(" ")[0]
    assert place._has_ended(words.replace(number, str(ended.pid), 1))
    assert not place._has_ended(words)
    heir.communicate(b"\n")
