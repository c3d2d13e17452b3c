"""What Slurm did, in words, and a GPU for each job."""

import subprocess
import sys
import threading

import pytest

from mrnetlib.chain import cluster
from mrnetlib.chain.place import STUDY_VARIABLE

LOG = """Error in rule training:
    message: SLURM-job '{job}' failed, SLURM status is: '{state}'. Detailed reason unavailable.
    jobid: 3
    output: data/own/a.csv
    log: {log} (check log file(s) for error details)
    external_jobid: {job}

"""


def test_what_happened_to_jobs_is_said_in_words(tmp_path):
    (tmp_path / "9.log").write_text("slurmstepd: error: Job 9 exceeded memory limit, being killed")
    text = "rule training:\n    jobid: 3\n"
    for job, state in ((7, "CANCELLED"), (8, "TIMEOUT"), (9, "FAILED"), (10, "BOOT_FAIL")):
        text += LOG.format(job=job, state=state, log=tmp_path / f"{job}.log")
    cancelled, late, greedy, odd = cluster.failures(text)
    assert cancelled.startswith("training: job 7 of Slurm's was cancelled. Run the same command")
    assert "raise runtime of training" in late
    assert "took more memory than it had asked for" in greedy and "raise mem_mb of tr" in greedy
    assert f"Its log: {tmp_path / '9.log'}." in greedy
    assert "ended as BOOT_FAIL" in odd
    assert cluster.failures("rule training:\n    jobid: 3\n") == []


def test_why_jobs_wait_is_said_where_no_node_can_take_them():
    reason = "ReqNodeNotAvail, UnavailableNodes:one"
    answer = f"PENDING {reason}\nRUNNING None\nPENDING {reason}\nPENDING Priority\n"
    assert cluster.waiting(answer) == [f"2 jobs wait, says Slurm: {reason}"]
    assert cluster.waiting("PENDING Resources\n") == []


def test_gpus_are_those_that_cuda_would_show(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-ab12")
    assert cluster.gpus() == ["2", "GPU-ab12"]
    for none in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", none)
        assert cluster.gpus() == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    answer = subprocess.CompletedProcess([], 0, stdout="0\n1\n2\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    assert cluster.gpus() == ["0", "1", "2"]


@pytest.mark.skipif(sys.platform == "win32", reason="locks of threads are POSIX's")
def test_each_of_several_jobs_gets_a_gpu_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv(STUDY_VARIABLE, str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    with cluster.own_gpu("auto") as mine:
        assert mine == "4" and cluster.gpus() == ["4"]
    assert cluster.gpus() == ["4", "5", "6"] and list(tmp_path.iterdir()) == []
    for device, several in (("cpu", "4,5"), ("auto", "4")):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", several)
        with cluster.own_gpu(device) as mine:
            assert mine is None and cluster.gpus() == several.split(",")
    monkeypatch.delenv(STUDY_VARIABLE)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    with cluster.own_gpu("auto") as mine:
        assert mine is None


@pytest.mark.skipif(sys.platform == "win32", reason="locks of threads are POSIX's")
def test_a_gpu_is_waited_for_and_freed(tmp_path):
    names = ["0", "1"]
    held = [cluster._free(tmp_path, names) for _ in range(2)]
    assert [name for name, _ in held] == names and cluster._free(tmp_path, names) is None
    threading.Timer(0.1, held[1][1].close).start()
    while not (free := cluster._free(tmp_path, names)):
        pass
    assert free[0] == "1"
