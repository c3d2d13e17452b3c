"""Whatever ends a command leaves no process behind, and the next one goes on without a hand."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import write_notebook

from mrnetlib import files, runner

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")

#: A chain of one step, and a cell whose pool works for ever until there is a file.
CHAIN = """import sys
rule all:
    output: "data/own/results/table1.md"
    shell: '{sys.executable:q} -m mrnetlib notebook --study own 00_toy && echo Table > {output}'
"""
CELL = """import pathlib, time
from mrnetlib import parallel
pathlib.Path('began').touch()
seconds = [0.0] * 3 if pathlib.Path('quick').exists() else [60.0] * 3
for _ in parallel.each(time.sleep, seconds, workers=2):
    pass"""


@pytest.fixture
def root(tmp_path):
    """A folder with that chain."""
    files.write_text(tmp_path / "Snakefile", CHAIN)
    files.write_text(tmp_path / "studies" / "own.yaml", "data: phantom\ndevice: cpu\n")
    write_notebook(tmp_path, "00_toy", CELL)
    return tmp_path


def command(root, *words):
    """A command in its own group of processes, which all carry the folder's name with them."""
    environment = os.environ | {
        "PYTHONPATH": str(Path(runner.__file__).parent.parent),
        "MRNETLIB_TEST": str(root),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "mrnetlib", *words],
        cwd=root, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def alive(root):
    """The processes of a folder's commands."""
    found = []
    for process in psutil.process_iter(["environ", "status"]):
        ours = (process.info["environ"] or {}).get("MRNETLIB_TEST") == str(root)
        if ours and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def await_(happens, seconds=300):
    """Wait until something has happened."""
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.1)


def begun(root, *words):
    """A command whose cell has its pool at work."""
    running = command(root, *words)
    await_(lambda: (root / "notebooks" / "began").exists() or running.poll() is not None)
    assert running.poll() is None, running.stdout.read()
    await_(lambda: sum("forkserver" in " ".join(p.cmdline()) for p in alive(root)) >= 3)
    return running


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
def test_a_notebook_leaves_no_process_behind(root, number):
    running = begun(root, "notebook", "--study", "own", "00_toy")
    running.send_signal(number)
    assert running.wait(300) == (-number if number == signal.SIGKILL else 128 + number)
    await_(lambda: not alive(root))


def test_a_killed_study_leaves_nothing_and_is_run_again_by_the_same_command(root):
    running = begun(root, "study", "own", "--cores", "1")
    second = command(root, "study", "own")
    said = second.communicate()[0]
    assert second.returncode == 1
    assert f"error: study own: process {running.pid} of " in said and "is running it" in said
    os.killpg(running.pid, signal.SIGKILL)
    await_(lambda: not alive(root))
    (root / "notebooks" / "quick").touch()
    again = command(root, "study", "own", "--cores", "1")
    said, _ = again.communicate(timeout=300)
    assert again.returncode == 0 and "00_toy: done" in said and "Report: " in said
    assert not (root / "data" / "own" / ".running").exists()


@pytest.mark.parametrize(("mark", "status"), [("ipykernel", 1), ("snakemake.cli", 137)])
def test_a_killed_kernel_or_snakemake_leaves_nothing_behind(root, mark, status):
    running = begun(root, "study", "own", "--cores", "1")
    (one,) = [p for p in alive(root) if mark in " ".join(p.cmdline())]
    one.kill()
    said, _ = running.communicate(timeout=300)  # no process holds the pipe open
    assert running.returncode == status
    assert ("Snakemake was ended from outside (signal 9)" in said) == (status == 137)
    await_(lambda: not alive(root))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_study_alone_stops_it(root, number):
    running = begun(root, "study", "own", "--cores", "1")
    running.send_signal(number)
    said, _ = running.communicate(timeout=300)
    assert running.returncode == 128 + number
    assert "stopping; the same command goes on from here" in said
    assert "failed" not in said
    await_(lambda: not alive(root))
