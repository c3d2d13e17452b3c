"""What a cluster did to jobs of a chain, in words, and which GPU a job on one machine may take."""

import contextlib
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mrnetlib.chain.place import STUDY_VARIABLE
from mrnetlib.files import held

#: A job of Slurm's that failed, in Snakemake's log, and the log of its own.
FAILED = re.compile(
    r"^Error in rule (?P<rule>\w+):\n(?P<block>(?:    .*\n)*?    message: SLURM-job '(?P<job>\d+)' "
    r"failed, SLURM status is: '(?P<state>\w+)'.*\n(?:    .*\n)*)",
    re.MULTILINE,
)
OWN_LOG = re.compile(r"^    log: (?:.*, )?(?P<log>\S.*?) \(check log", re.MULTILINE)

#: What Slurm's own process says in a job's log when it ends one for its memory.
TOO_MUCH = re.compile(r"memory limit|oom[-_ ]kill|out of memory", re.IGNORECASE)

#: Slurm's states in words, and what helps.
STATES = {
    "OUT_OF_MEMORY": "took more memory than it had asked for and was ended: raise mem_mb of {rule} "
    "in the profile",
    "TIMEOUT": "took longer than it had asked for and was ended: raise runtime of {rule} in the "
    "profile",
    "CANCELLED": "was cancelled",
    "NODE_FAIL": "lost its node",
    "PREEMPTED": "had to give way to another one",
    "FAILED": "failed",
}


def failures(log: str) -> list[str]:
    """A sentence for each job of Slurm's that Snakemake's log says has failed."""
    said = []
    for found in FAILED.finditer(log):
        state, rule = found["state"], found["rule"]
        own = OWN_LOG.search(found["block"])
        if state != "TIMEOUT" and own and _ended_for_memory(Path(own["log"])):
            state = "OUT_OF_MEMORY"
        words = STATES.get(state, f"ended as {state}").format(rule=rule)
        where = f" Its log: {own['log']}." if own else ""
        said.append(
            f"{rule}: job {found['job']} of Slurm's {words}. Run the same command again.{where}"
        )
    return said


def _ended_for_memory(log: Path) -> bool:
    with contextlib.suppress(OSError):
        return bool(TOO_MUCH.search(log.read_text(encoding="utf-8", errors="replace")))
    return False


def waiting(answer: str | None = None) -> list[str]:
    """Why the user's jobs do not begin where no node can take them, as Slurm's queue says.

    Parameters
    ----------
    answer : of ``squeue``, a job's state and the reason a line; asked for where it is None.
    """
    if answer is None:
        command = ["squeue", "--me", "--noheader", "--format=%T %r"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return []
        answer = done.stdout
    reasons = [line.partition(" ")[2].strip() for line in answer.splitlines() if "PENDING" in line]
    stuck = [reason for reason in reasons if re.search(r"DOWN|DRAIN|NotAvail", reason)]
    return [
        f"{n} job{'s wait' if n > 1 else ' waits'}, says Slurm: {reason}"
        for reason, n in Counter(stuck).items()
    ]


def gpus() -> list[str]:
    """The GPUs that this process may see, by what CUDA_VISIBLE_DEVICES calls them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        return done.stdout.split()
    return []


@contextlib.contextmanager
def own_gpu(device: str) -> Iterator[str | None]:
    """Take a GPU that no other job of the chain on this machine has, and show CUDA only that.

    To be called before CUDA is. Outside of a chain, with one GPU, and where the study names its
    device, nothing is done. The system frees a GPU whose job has ended, however it did.
    """
    several = gpus() if STUDY_VARIABLE in os.environ and device in ("auto", "cuda") else []
    if len(several) < 2:
        yield None
        return
    folder = Path(os.environ[STUDY_VARIABLE])
    while not (mine := _free(folder, several)):
        time.sleep(0.5)
    name, file = mine
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = name
    try:
        yield name
    finally:
        os.environ.pop("CUDA_VISIBLE_DEVICES")
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
        Path(file.name).unlink(missing_ok=True)
        file.close()


def _free(folder: Path, names: list[str]):
    for name in names:
        if file := held(folder / f".gpu-{re.sub(r'[^A-Za-z0-9-]', '_', name)}.lock"):
            return name, file
    return None
