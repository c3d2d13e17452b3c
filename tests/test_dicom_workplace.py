"""A conversion that is stopped leaves no process and no half exam, and goes on where it was."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from dicom_files import AXIS, uid, write_series, write_study

from mrnetlib import files
from mrnetlib.__main__ import main
from mrnetlib.dicom import convert, workplace
from mrnetlib.dicom.study import examine
from mrnetlib.exams import intensity
from mrnetlib.files import InputError

CONVERT = sys.modules["mrnetlib.dicom.convert"]
QUIET = {"workers": 1, "size": 24, "progress": False}
unix = pytest.mark.skipif(os.name == "nt", reason="SKIPPED ALOUD: signals are Unix's")


@pytest.fixture
def source(tmp_path):
    """Six studies; the exams' order is that of their names."""
    for number in range(6):
        for plane in AXIS:
            changes = {"StudyInstanceUID": uid(number), "SeriesInstanceUID": uid(number, plane)}
            write_series(tmp_path / "in" / f"study{number}" / plane, plane, 4, **changes)
    return tmp_path / "in"


def partial(tmp_path):
    return [path for path in tmp_path.iterdir() if ".partial-" in path.name]


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def stopping(monkeypatch, count, error):
    """Let examining raise after some studies; returns the files that were examined."""
    seen = []

    def examined(files, *arguments):
        if len(seen) == count:
            raise error
        seen.append(files)
        return examine(files, *arguments)

    monkeypatch.setattr(CONVERT, "examine", examined)
    return seen


def test_the_same_command_goes_on_where_it_was(source, tmp_path, monkeypatch, capsys):
    words = ["preprocess", str(source), str(tmp_path / "out"), "--size", "24", "--workers", "1"]
    stopping(monkeypatch, 4, KeyboardInterrupt())
    assert main(words) == 130
    (left,) = partial(tmp_path)
    said = capsys.readouterr().err
    assert "stopped. 4 finished exams are kept" in said and str(left) in said
    assert left.stat().st_mode & 0o077 == 0 or os.name == "nt"
    assert sorted(p.name for p in tmp_path.iterdir()) == [left.name, "in"]

    seen = stopping(monkeypatch, 9, None)
    (left / "exams" / "valid" / "axial" / "0001.npy").write_bytes(b"cut short by a power failure")
    (left / "exams" / "valid" / "axial" / ".0004-tmp.npy").touch()
    assert main(words) == 0
    assert [Path(files[0].path).parts[-3] for files in seen] == ["study1", "study4", "study5"]
    assert "3 exams were taken over" in capsys.readouterr().out
    assert not partial(tmp_path)
    convert(source, tmp_path / "fresh", **QUIET)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_landmarks_are_learned_alike_after_a_stop(source, tmp_path, monkeypatch):
    asked = {**QUIET, "split": "train", "learn_landmarks": True}
    real, calls = CONVERT._standardize, []

    def standardize(task):
        calls.append(task)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(task)

    monkeypatch.setattr(CONVERT, "_standardize", standardize)
    with pytest.raises(KeyboardInterrupt, match="6 finished exams"):
        convert(source, tmp_path / "out", **asked)
    monkeypatch.undo()
    convert(source, tmp_path / "out", **asked)
    convert(source, tmp_path / "fresh", **asked)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


CHANGES = {
    "option": {"size": 32},
    "gaps": {"allow_gaps": True},
    "preference": {"prefer": "sagittal=T2"},
    "split": {"split": "train"},
}


@pytest.mark.parametrize("change", [*CHANGES, "file", "date"])
def test_another_request_takes_nothing_over(source, tmp_path, monkeypatch, change):
    stopping(monkeypatch, 2, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt, match="2 finished exams"):
        convert(source, tmp_path / "out", **QUIET)
    seen = stopping(monkeypatch, 9, None)
    one = next((source / "study5" / "axial").iterdir())
    if change == "file":
        one.with_name("new.dcm").write_bytes(one.read_bytes()[:-2])
    if change == "date":
        os.utime(one, (1, 1))
    done = convert(source, tmp_path / "out", **{**QUIET, **CHANGES.get(change, {})})
    assert len(seen) == 6 and "taken over" not in done.summary
    assert "holds exams of another, stopped conversion" in done.summary
    assert len(partial(tmp_path)) == 1


def test_what_failed_is_tried_again(source, tmp_path, monkeypatch):
    victim = next((source / "study0" / "axial").iterdir())
    victim.write_bytes(victim.read_bytes()[:-50])
    stopping(monkeypatch, 3, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt, match="2 finished exams"):
        convert(source, tmp_path / "out", **QUIET)
    seen = stopping(monkeypatch, 9, None)
    done = convert(source, tmp_path / "out", **QUIET)
    assert len(seen) == 4 and set(done.failed) == {"0000"}


def test_a_stop_before_the_first_exam_leaves_nothing(source, tmp_path, monkeypatch, capsys):
    words = ["preprocess", str(source), str(tmp_path / "out"), "--size", "24", "--workers", "1"]
    stopping(monkeypatch, 0, KeyboardInterrupt())
    assert main(words) == 130
    assert "Nothing was kept; the same command starts from the" in capsys.readouterr().err
    monkeypatch.setattr(CONVERT, "gather", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(words) == 130
    assert "Nothing was written; the same command starts" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_full_disk_keeps_what_is_finished(source, tmp_path, monkeypatch):
    real, written = CONVERT.write_array, []

    def full(path, pixels):
        if len(written) == 7:
            raise InputError(f"{path}: could not be written ({os.strerror(errno.ENOSPC)}).")
        written.append(path)
        real(path, pixels)

    monkeypatch.setattr(CONVERT, "write_array", full)
    with pytest.raises(InputError, match=r"No space left.* 2 finished exams are kept"):
        convert(source, tmp_path / "out", **QUIET)
    monkeypatch.undo()
    assert "2 exams were taken over" in convert(source, tmp_path / "out", **QUIET).summary


def test_an_output_that_fills_meanwhile_is_not_overwritten(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    real = CONVERT.write_tables

    def slow(*arguments):
        out.mkdir()
        (out / "mine").write_text("mine")
        return real(*arguments)

    monkeypatch.setattr(CONVERT, "write_tables", slow)
    with pytest.raises(InputError, match=r"cannot be written \(Directory not empty\)"):
        convert(source, out, key_file=tmp_path / "key.csv", **QUIET)
    assert [path.name for path in out.iterdir()] == ["mine"]
    assert not (tmp_path / "key.csv").exists() and len(partial(tmp_path)) == 1


def test_two_conversions_into_one_folder_are_refused(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with workplace.locked(out):
        with pytest.raises(InputError, match=f"another conversion .process {os.getpid()} of "):
            convert(source, out, **QUIET)
        convert(source, tmp_path / "other", **QUIET)
    (tmp_path / ".out.lock").write_text("123456\n")  # left by a process that is dead
    assert not convert(source, out, **QUIET).failed
    assert not (tmp_path / ".out.lock").exists()


def test_a_file_system_without_locks_is_used_without(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def unknown(*_):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with workplace.locked(tmp_path / "out"):
        assert (tmp_path / ".out.lock").exists()


def test_windows_locks_a_byte(tmp_path, monkeypatch):
    held = []

    def locking(number, mode, count):
        if held:
            raise OSError(errno.EACCES, "locked")
        held.append((mode, count))

    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    with workplace.locked(tmp_path / "out"):
        assert held == [(2, 1)]
        with (
            pytest.raises(InputError, match=f"process {os.getpid()}"),
            workplace.locked(tmp_path / "out"),
        ):
            pass


REQUESTS = {
    "split": ({"split": "valid"}, "split: 'valid'"),
    "size": ({"size": 8}, "size: 8, expected 16 to 2048"),
    "both": ({"learn_landmarks": True}, "either given or learned"),
    "planes": ({}, "no landmarks for axial, coronal, sagittal"),
    "no train": ({"learn_landmarks": True, "landmarks": None}, "learned on training exams"),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_requests_that_cannot_be_met_are_refused_at_once(source, tmp_path, kind):
    changes, reason = REQUESTS[kind]
    intensity.save(tmp_path / "landmarks.json", {})
    asked = {**QUIET, "landmarks": tmp_path / "landmarks.json", **changes}
    with pytest.raises(InputError, match=reason):
        convert(source, tmp_path / "out", **asked)
    assert not (tmp_path / "out").exists() and not partial(tmp_path)


def test_what_goes_wrong_in_a_study_is_called_what_it_is(source, tmp_path, monkeypatch):
    for error, words in ((MemoryError(), "not memory enough"), (KeyError("x"), "(KeyError)")):
        monkeypatch.setattr(
            CONVERT, "examine", lambda *_, error=error: (_ for _ in ()).throw(error)
        )
        done = convert(source, tmp_path / type(error).__name__, **QUIET)
        assert len(done.failed) == 6 and all(words in said for said in done.failed.values())
    killed = CONVERT._crashed(SimpleNamespace(exam="0007"), -9)
    assert killed.exam == "0007" and "want of memory" in killed.study.faults[0]


def test_whatever_ends_a_conversion_leaves_no_empty_workplace(source, tmp_path, monkeypatch):
    stopping(monkeypatch, 0, SystemExit(3))
    with pytest.raises(SystemExit):
        convert(source, tmp_path / "out", **QUIET)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_lock_that_was_just_removed_is_taken_anew(tmp_path, monkeypatch):
    real, calls = files.lock_file, []

    def lock(file):
        calls.append(file)
        if len(calls) == 1:
            Path(file.name).unlink()  # its holder ended between our opening and locking it
        return real(file)

    monkeypatch.setattr(files, "lock_file", lock)
    with workplace.locked(tmp_path / "out"):
        assert len(calls) == 2
        assert (tmp_path / ".out.lock").read_text().startswith(f"{os.getpid()} of ")


def test_a_folder_that_cannot_be_made_is_an_input_error(source, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        convert(source, tmp_path / "file" / "out", **QUIET)


@pytest.mark.skipif(os.name == "nt", reason="SKIPPED ALOUD: names are text on Windows")
def test_the_key_is_utf8_and_lossless(tmp_path):
    write_study(tmp_path / "x", 4)
    (tmp_path / "in").mkdir()
    try:
        (tmp_path / "x").rename(tmp_path / "in" / os.fsdecode(b"M\xfcller\\xfc \xc3\xa9"))
    except OSError:
        pytest.skip("SKIPPED ALOUD: this file system wants UTF-8")
    key = tmp_path / "keys" / "key.csv"
    convert(tmp_path / "in", tmp_path / "out", key_file=key, **QUIET)
    kept = pd.read_csv(key, dtype=str)
    assert kept["folder"][0].endswith("M\\xfcller\\\\xfc é/axial")
    assert kept["study"].tolist() == [uid("study")] and key.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.name == "nt", reason="SKIPPED ALOUD: names are text on Windows")
def test_an_output_of_an_old_name_is_written_and_named(source, tmp_path, capsys):
    out = tmp_path / os.fsdecode(b"M\xfcller")
    assert main(["preprocess", str(source), str(out), "--size", "24", "--workers", "1"]) == 0
    assert "6 studies became exams in" in capsys.readouterr().out and (out / "exams.csv").exists()


def test_the_folder_one_is_in_may_be_the_output(source, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert not convert(source, ".", **QUIET).failed
    assert (tmp_path / "here" / "exams.csv").exists()


def test_a_key_that_cannot_be_written_is_known_at_once(source, tmp_path, monkeypatch):
    monkeypatch.setattr(CONVERT, "examine", lambda *_: pytest.fail("hours of work"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="the key cannot be written"):
        convert(source, tmp_path / "out", key_file=tmp_path / "file" / "k.csv", **QUIET)
    (tmp_path / "dangling").symlink_to(tmp_path / "out" / "k.csv")
    for key in ("file", "dangling", "out", "out/k.csv"):
        with pytest.raises(InputError, match=r"not overwritten|free of identities"):
            convert(source, tmp_path / "out", key_file=tmp_path / key, **QUIET)


def test_a_key_that_appears_meanwhile_is_not_overwritten(source, tmp_path, monkeypatch):
    key = tmp_path / "key.csv"
    real = CONVERT.write_tables
    monkeypatch.setattr(
        CONVERT, "write_tables", lambda *them: (key.write_text("mine"), real(*them))[1]
    )
    with pytest.raises(InputError, match="Keys are not overwritten"):
        convert(source, tmp_path / "out", key_file=key, **QUIET)
    assert key.read_text() == "mine" and not (tmp_path / "out").exists()


def test_the_key_is_whole_when_studies_fail(source, tmp_path):
    for path in (source / "study2").rglob("*.dcm"):
        path.write_bytes(path.read_bytes()[:300])
    shutil.copy(next((source / "study3" / "axial").iterdir()), source / "study3" / "again.dcm")
    done = convert(source, tmp_path / "out", key_file=tmp_path / "key.csv", **QUIET)
    assert done.failed and len(pd.read_csv(tmp_path / "key.csv")) >= 6


def alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def started(source, out):
    """A conversion with two workers, as the leader of a group of processes, under way."""
    words = ["preprocess", str(source), str(out), "--size", "512", "--workers", "2"]
    running = subprocess.Popen(
        [sys.executable, "-m", "mrnetlib", *words],
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until(lambda: list(out.parent.glob(".out.partial-*/finished/0000.json")))
    return running


def until(reached, seconds=60):
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.005)


@unix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_a_signal_and_the_same_command_goes_on(tmp_path, number):
    for study in range(8):
        for plane in AXIS:
            changes = {"StudyInstanceUID": uid(study), "SeriesInstanceUID": uid(study, plane)}
            write_series(tmp_path / "in" / f"{study:02d}" / plane, plane, 5, **changes)
    running = started(tmp_path / "in", tmp_path / "out")
    os.kill(running.pid, number)
    _, said = running.communicate(timeout=60)
    until(lambda: not alive(running.pid), 20)
    assert "Traceback" not in said and not (tmp_path / "out").exists()
    if number != signal.SIGKILL:
        assert running.returncode == 128 + number and "the same command goes on" in said
        assert not (tmp_path / ".out.lock").exists()
    done = convert(tmp_path / "in", tmp_path / "out", workers=1, size=512, progress=False)
    assert "taken over" in done.summary and len(done.exams) == 8 and not done.failed
    assert not list((tmp_path / "out").rglob(".*"))
    volume = np.load(tmp_path / "out" / "valid" / "axial" / "0007.npy", allow_pickle=False)
    assert volume.shape == (5, 512, 512)
