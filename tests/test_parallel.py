"""Work over processes: in order, and one process's end costs one task only."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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
