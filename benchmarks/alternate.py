"""Loops timed side by side: each in a process of its own, taking turns, so that all meet the same
noise and none meets the others' memory."""

import multiprocessing
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

#: Makes a loop in its process; the loop works once when called and gives the slices it worked on.
Maker = Callable[[], Callable[[], int]]


def peak_mib() -> float:
    """Most memory that this process held so far, in MiB, mapped files included."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10
    if sys.platform == "win32":
        return float("nan")  # nothing in the standard library says
    import resource

    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 2**20 if sys.platform == "darwin" else size / 2**10


def _serve(connection: Connection, make: Maker) -> None:
    """Work whenever asked, and say how fast; in the end, say how much memory that took."""
    loop = make()
    loop()  # the first time pays for what is kept: memory, code for each size of tensor
    connection.send(None)
    while connection.recv():
        start = time.perf_counter()
        slices = loop()
        connection.send(slices / (time.perf_counter() - start))
    connection.send(peak_mib())


def take_turns(makers: dict[str, Maker], rounds: int, name: str) -> tuple[pd.DataFrame, pd.Series]:
    """Let the loops work in turns.

    Parameters
    ----------
    makers : by the name of the loop; functions of a module, to be sent to another process.
    rounds : how often each loop works after a first time that is not counted.
    name : for the progress bar.

    Returns
    -------
    Slices per second, a row per round and a column per loop; and each process's peak MiB.
    """
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        ends = {}
        for loop, make in makers.items():
            ends[loop], other = context.Pipe()
            process = context.Process(target=_serve, args=(other, make))
            process.start()
            stack.callback(process.join)  # callbacks run from the last to the first
            stack.callback(process.terminate)
            other.close()  # so that a process that dies is an error here and not a silence
            ends[loop].recv()
        rows = []
        for _ in tqdm(range(rounds), name):
            row = {}
            for loop, end in ends.items():
                end.send(True)
                row[loop] = end.recv()
            rows.append(row)
        memory = {}
        for loop, end in ends.items():
            end.send(False)
            memory[loop] = end.recv()
        return pd.DataFrame(rows), pd.Series(memory)


def ratio(rates: pd.DataFrame, first: str, second: str) -> float:
    """Median over the rounds of one loop's rate over another's."""
    return float((rates[first] / rates[second]).median())


def spread(rates: pd.Series) -> list[float]:
    """The slowest and the fastest round."""
    return [round(float(value), 2) for value in (np.min(rates), np.max(rates))]
