"""Work over processes: in order, and one process's end costs one task only."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mrnetlib import parallel
from mrnetlib.files import InputError

unix = pytest.mark.skipif(os.name == "nt", reason="SKIPPED ALOUD: signals are Unix's")


def crash(number):
    """Work of a process that dies on one task (called in other processes)."""
    if number == 2:
        os._exit(1)
    return number * 10


def killed(task):
    """Work of a process that is killed: always for a negative number, once for a file."""
    if isinstance(task, Path):
        if task.exists():
            return "the second time"
        task.touch()
    elif task >= 0:
        return task
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def fail(number):
    """Work that raises."""
    if number == 3:
        raise InputError("the third is wrong")
    return number


def test_results_come_in_the_order_of_tasks():
    assert list(parallel.each(abs, range(-20, 0), workers=3)) == list(range(20, 0, -1))
    assert list(parallel.each(abs, [-1], workers=3)) == [1]
    assert list(parallel.each(abs, [], workers=3)) == []


def test_a_crashing_process_costs_one_task_only():
    crashed = lambda task, status: (task, status)  # noqa: E731
    found = list(parallel.each(crash, range(5), workers=2, crashed=crashed))
    assert found == [0, 10, (2, 1), 30, 40]


@unix
def test_many_killed_processes_cost_their_tasks_only():
    tasks = [-1, 1, -2, 3]
    crashed = lambda task, status: parallel.ending(status)  # noqa: E731
    found = list(parallel.each(killed, tasks, workers=2, crashed=crashed))
    for task, result in zip(tasks, found, strict=True):
        assert result == task if task > 0 else "signal 9" in result
    with pytest.raises(InputError, match="a worker process was ended from outside"):
        list(parallel.each(killed, tasks[:2], workers=2))


@unix
def test_a_task_whose_process_is_killed_once_is_tried_again(tmp_path):
    tasks = [1, tmp_path / "once", 3]
    assert list(parallel.each(killed, tasks, workers=2)) == [1, "the second time", 3]


def test_an_error_in_a_process_is_raised_here():
    with pytest.raises(InputError, match="the third is wrong"):
        list(parallel.each(fail, range(9), workers=2))


def test_how_a_process_ended_is_said():
    assert "memory" in parallel.ending(-9) and parallel.ending(-11) == "by signal 11"
    assert parallel.ending(3) == "with exit status 3"


def test_processes_that_cannot_start_are_named(tmp_path):
    """A script without a guard is run again by each of its processes."""
    script = tmp_path / "script.py"
    script.write_text(
        "from mrnetlib import parallel\nprint(list(parallel.each(abs, [1, 2, 3], workers=2)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "worker processes cannot be started" in done.stderr


@unix
def test_signals_stop_once_and_leave_other_handlers(monkeypatch):
    heard = []
    before = signal.signal(signal.SIGHUP, lambda *_: heard.append(1))
    try:
        with pytest.raises(parallel.Stopped) as caught, parallel.stoppable():
            os.kill(os.getpid(), signal.SIGHUP)
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(1)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)  # while cleaning up: ignored
                time.sleep(0.01)
        assert caught.value.number == signal.SIGTERM and heard == [1]
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_ctrl_c_is_told_once_and_to_what_looks_on(capsys):
    command = [sys.executable, "-c", "import time; time.sleep(30)"]
    seen = []

    def look(stopped):
        seen.append(stopped)
        if len(seen) == 1:
            signal.raise_signal(signal.SIGINT)

    assert parallel.attend(command, look, stderr=subprocess.DEVNULL) == 130
    assert seen[:2] == [False, True]
    assert capsys.readouterr().err == "stopping; the same command goes on from here\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


#: A process that attends a child, which writes its number and after a SIGINT a note.
ATTENDED = """
import os, pathlib, sys, time
from mrnetlib import parallel
if len(sys.argv) == 2:
    sys.exit(parallel.attend([sys.executable, __file__, sys.argv[1], "child"]))
parallel.end_with_parent()
here = pathlib.Path(sys.argv[1])
(here / "part").write_text(str(os.getpid()))
(here / "part").rename(here / "pid")
try:
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(1)
    (here / "note").write_text("ended")
    sys.exit(7)
"""


def attending(folder):
    """The process that attends, and the number of the child once it is there."""
    (folder / "attended.py").write_text(ATTENDED)
    words = [sys.executable, str(folder / "attended.py"), str(folder)]
    ours = os.environ | {"PYTHONPATH": str(Path(parallel.__file__).parent.parent)}
    parent = subprocess.Popen(words, env=ours, stderr=subprocess.DEVNULL)
    await_(lambda: (folder / "pid").exists())
    return parent, int((folder / "pid").read_text())


def await_(happens, seconds=300):
    """Wait until something has happened."""
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.05)


@unix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_a_signal_to_the_parent_alone_ends_the_child_in_order(tmp_path, name):
    number = getattr(signal, name)
    parent, child = attending(tmp_path)
    parent.send_signal(number)
    assert parent.wait(300) == (-number if name == "SIGKILL" else 128 + number)
    await_(lambda: not psutil.pid_exists(child))
    assert (tmp_path / "note").read_text() == "ended"


@unix
def test_what_a_killed_leader_leaves_is_ended(tmp_path):
    seconds = f"60.{os.getpid()}"
    code = (
        f"import os, subprocess; subprocess.Popen(['sleep', '{seconds}']); os.kill(os.getpid(), 9)"
    )
    assert parallel.attend([sys.executable, "-c", code]) == -signal.SIGKILL
    await_(
        lambda: (
            not any(seconds in (p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"]))
        )
    )


@unix
def test_nohup_is_respected():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with parallel.heard() as numbers:
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGTERM)
        assert numbers == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGHUP, before)
