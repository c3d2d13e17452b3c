"""A chain through a real Slurm, set up in a temporary folder on this machine: ``make test-slurm``.

A controller and two nodes that are this machine twice, from the operating system's packages
(slurm-wlm, munge). Nine jobs named as trainings go through them; one takes too much memory, one is
cancelled, one node is drained. ``MRNETLIB_SLURM_STUDY=phantom`` sends the default study through as
well, disturbed in the same three ways.
"""

import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from mrnetlib.files import write_text

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(
    os.environ.get("MRNETLIB_SLURM") != "1", reason="make test-slurm sets a Slurm up and runs this"
)

SLURM = """ClusterName=try
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
SlurmctldPort=16817
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdSpoolDir={folder}/spool-%n
StateSaveLocation={folder}
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=5
AccountingStorageType=accounting_storage/none
ReturnToService=2
MinJobAge=3600
SlurmdParameters=config_overrides
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port=16818 CPUs=8 RealMemory=99000
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port=16819 CPUs=8 RealMemory=99000
PartitionName=all Nodes=one,two Default=YES State=UP
"""

CHAIN = """import sys
ARCHITECTURES, PLANES = ("alexnet", "googlenet", "resnet18"), ("axial", "coronal", "sagittal")
rule all:
    input: "data/own/results/table1.md"
rule training:
    output: "data/own/results/predictions/{architecture}_{plane}.csv"
    threads: 1
    shell: "{sys.executable:q} train.py {wildcards.architecture:q} {wildcards.plane:q} {output:q}"
rule comparison:
    input: expand(rules.training.output, architecture=ARCHITECTURES, plane=PLANES)
    output: "data/own/results/table1.md"
    shell: "cat {input:q} > {output:q}"
"""

#: Stands in for a training: some seconds, or what a file says: much memory, or much time.
TRAIN = """import sys, time
from pathlib import Path
architecture, plane, output = sys.argv[1:]
says = Path(f"{architecture}_{plane}")
if says.exists() and says.read_text() == "greedy":
    much = bytearray(b"x" * (1200 << 20))
    time.sleep(60)
time.sleep(300 if says.exists() else 1)
Path(output).write_text(f"{architecture} {plane}\\n")
"""


def command(*words):
    """What a command of Slurm's prints."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def await_(happens, seconds=600):
    """Wait until something has happened."""
    end = time.monotonic() + seconds
    while not (found := happens()):
        assert time.monotonic() < end
        time.sleep(1)
    return found


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A Slurm of two nodes; all its processes end with the test."""
    for name in ("munged", "slurmctld", "slurmd"):
        if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin"):
            pytest.fail(f"{name} is not installed: apt-get install slurm-wlm munge")
    folder = tmp_path_factory.mktemp("slurm")
    for path in (folder, *list(folder.parents)[:2]):
        path.chmod(0o755)  # munge trusts no socket in a folder that others cannot see
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    user = os.environ.get("USER") or "root"
    text = SLURM.format(host=platform.node().partition(".")[0], folder=folder, user=user)
    write_text(folder / "slurm.conf", text)
    # Snakemake hides Slurm's variables from its jobs, whose srun would ask the machine's own Slurm.
    there, srun = folder / "bin" / "srun", shutil.which("srun")
    write_text(there, f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {srun} "$@"\n')
    there.chmod(0o755)
    os.environ["PATH"] = f"{there.parent}:{os.environ['PATH']}"
    for node in ("one", "two"):
        (folder / f"spool-{node}").mkdir()
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    files = {"key-file": "munge.key", "socket": "munge.sock", "pid-file": "munged.pid"}
    files |= {"log-file": "munged.log", "seed-file": "munged.seed"}
    options = [f"--{name}={folder / file}" for name, file in files.items()]
    daemons = [["/usr/sbin/munged", "--foreground", "--force", *options]]
    daemons += [["/usr/sbin/slurmctld", "-D"]]
    daemons += [["/usr/sbin/slurmd", "-D", "-N", node] for node in ("one", "two")]
    with (folder / "said.txt").open("w") as said, contextlib.ExitStack() as stack:
        for daemon in daemons:
            process = subprocess.Popen(daemon, stdout=said, stderr=said)
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)
            time.sleep(2)
        await_(lambda: command("sinfo", "--noheader", "--format=%t %D") == "idle 2\n", 60)
        yield folder


@pytest.fixture
def project(tmp_path):
    """The chain, a profile with less memory than `profiles/slurm`, and the command that runs it."""
    write_text(tmp_path / "Snakefile", CHAIN)
    write_text(tmp_path / "train.py", TRAIN)
    write_text(tmp_path / "studies" / "own.yaml", "data: phantom\ndevice: cpu\n")
    profile = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text())
    profile["set-resources"] = {"training": {"mem_mb": 1000, "runtime": 60}}
    profile["set-threads"] = {"training": 1}
    profile |= {"slurm-init-seconds-before-status-checks": 3, "seconds-between-status-checks": 3}
    profile["default-resources"] = {"mem_mb": 1000, "runtime": 60}
    write_text(tmp_path / "profile" / "config.yaml", yaml.safe_dump(profile))
    return tmp_path


def study(root, name="own", profile="profile"):
    """The command, under way."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "mrnetlib", "study", name, "--profile", str(profile)]
    return subprocess.Popen(
        words, cwd=root, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def jobs(state):
    """Numbers and comments of Slurm's jobs of a state."""
    lines = command("squeue", "--noheader", "--states", state, "--format=%i %k").splitlines()
    return dict(line.split(" ", 1) for line in lines)


def predictions(root):
    return sorted(path.stem for path in (root / "data" / "own").rglob("predictions/*.csv"))


def test_memory_cancelling_and_a_drained_node_are_told_and_mended_by_the_same_command(
    slurm, project
):
    write_text(project / "alexnet_axial", "greedy")
    write_text(project / "resnet18_coronal", "slow")
    command("scontrol", "update", "nodename=two", "state=drain", "reason=broken")
    running = study(project)
    slow = await_(
        lambda: (
            [job for job, said in jobs("RUNNING").items() if "resnet18_coronal" in said]
            if len(predictions(project)) == 7
            else []
        )
    )
    command("scancel", *slow)
    said, _ = running.communicate(timeout=900)
    print(said)
    assert running.returncode == 1
    assert "took more memory than it had asked for and was ended: raise mem_mb of training" in said
    assert f"training: job {slow[0]} of Slurm's was cancelled. Run the same command again" in said
    assert len(predictions(project)) == 7  # on the other node

    for name in ("alexnet_axial", "resnet18_coronal"):
        (project / name).unlink()
    command("scontrol", "update", "nodename=one", "state=drain", "reason=broken, too")
    again = study(project)
    await_(lambda: jobs("PENDING"))
    waits = await_(lambda: next((w for w in iter(again.stdout.readline, "") if "wait" in w), ""))
    print(waits)
    # The second one's reason may be that it comes after the first.
    assert waits.startswith(("1 job waits, says Slurm: ", "2 jobs wait, says Slurm: "))
    assert "DRAINED" in waits
    again.send_signal(signal.SIGINT)
    said, _ = again.communicate(timeout=300)
    assert again.returncode == 130 and "stopping; the same command goes on" in said
    await_(lambda: not jobs("PENDING"))

    for node in ("one", "two"):
        command("scontrol", "update", f"nodename={node}", "state=resume")
    last = study(project)
    said, _ = last.communicate(timeout=900)
    print(said)
    assert last.returncode == 0 or "04_single_vs_multi_view" in said
    assert len((project / "data" / "own" / "results" / "table1.md").read_text().splitlines()) == 9


@pytest.mark.skipif(
    "MRNETLIB_SLURM_STUDY" not in os.environ, reason="MRNETLIB_SLURM_STUDY names no study"
)
def test_a_whole_study_goes_through_with_little_memory_a_cancelled_job_and_a_drained_node(
    slurm, tmp_path
):
    name = os.environ["MRNETLIB_SLURM_STUDY"]
    profile = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text())
    profile["set-resources"]["training"]["mem_mb"] = 300
    write_text(tmp_path / "config.yaml", yaml.safe_dump(profile))
    said = study(ROOT, name, tmp_path).communicate()[0]
    print(said)
    assert "training: job" in said and "ended: raise mem_mb of training in the profile" in said

    running = study(ROOT, name, "profiles/slurm")
    trainings = await_(
        lambda: [job for job, words in jobs("RUNNING").items() if "rule_training" in words], 1800
    )
    command("scontrol", "update", "nodename=two", "state=drain", "reason=broken")
    command("scancel", trainings[0])
    said = running.communicate()[0]
    print(said)
    assert running.returncode == 1
    assert f"training: job {trainings[0]} of Slurm's was cancelled" in said

    command("scontrol", "update", "nodename=two", "state=resume")
    last = study(ROOT, name, "profiles/slurm")
    said = last.communicate()[0]
    print(said)
    assert last.returncode == 0
