"""Work over processes: tasks in a fixed order, and a group of processes that ends as one."""

import contextlib
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from typing import Any

import psutil
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from mrnetlib.files import InputError

#: Seconds that a process is given to end before it is killed.
PATIENCE = 5.0

#: Seconds between two looks at a group of processes.
EVERY = 0.5

#: The environment variable with the process that others end with, and its machine.
PARENT_VARIABLE = "MRNETLIB_PARENT"


class Stopped(KeyboardInterrupt):
    """The program was asked to end, by Ctrl-C or a signal; the message says what was kept."""

    def __init__(self, message: str = "", number: int = signal.SIGINT):
        super().__init__(message)
        self.number = number


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `Stopped` inside the block, so that it cleans up as after
    Ctrl-C; once only, so that the cleaning is not cut short. Handlers that others set stay."""

    def stop(number: int, _frame: object) -> None:
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        raise Stopped(number=number)

    names = ("SIGTERM", "SIGHUP") if threading.current_thread() is threading.main_thread() else ()
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {one: signal.getsignal(one) for one in numbers}
    before = {one: handler for one, handler in before.items() if handler == signal.SIG_DFL}
    try:
        for one in before:
            signal.signal(one, stop)
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextlib.contextmanager
def heard() -> Iterator[list[int]]:
    """A list that grows by every signal to end inside the block, instead of what it would do."""
    numbers: list[int] = []
    before = {signal.SIGINT: signal.getsignal(signal.SIGINT)}
    for one in (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")):
        if one and signal.getsignal(one) != signal.SIG_IGN:  # as nohup has it
            before[one] = signal.getsignal(one)
    try:
        for one in before:
            signal.signal(one, lambda number, _: numbers.append(number))
        yield numbers
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def attend(
    command: Sequence[str], look: Callable[[bool], None] = lambda stopped: None, **how: Any
) -> int:
    """Run a command as a group of processes that ends as one; gives its exit status.

    Ctrl-C, or SIGINT to this process, is passed on to the group, which has files to finish and
    kernels to end. A second one, and any other signal to end, gives it `PATIENCE` seconds. When
    this process is killed, those of the group that call `end_with_parent` end it.

    Parameters
    ----------
    look : called every `EVERY` seconds; it is told whether a signal has come.
    how : for `subprocess.Popen`.
    """
    how["env"] = how.get("env", os.environ) | {PARENT_VARIABLE: f"{os.getpid()}@{platform.node()}"}
    with heard() as signals:
        group = subprocess.Popen(command, start_new_session=True, **how)
        status, told = None, False
        try:
            while status is None:
                if signals and not told:
                    told = True
                    print("stopping; the same command goes on from here", file=sys.stderr)
                    if signals[0] == signal.SIGINT:
                        _signal_group(group.pid, signal.SIGINT)
                look(told)
                if told and signals != [signal.SIGINT]:
                    break
                with contextlib.suppress(subprocess.TimeoutExpired):
                    status = group.wait(EVERY)
        finally:
            _end_group(group)
    status = group.wait()
    return 128 + signals[0] if status and signals else status


def _signal_group(group: int, number: int) -> bool:
    """Whether there was a process of the group to signal; Windows has told them already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(group, number)
            return True
    return False


def _end_group(leader: subprocess.Popen) -> None:
    """Interrupt a group, whether or not its leader has ended, and kill what stays."""
    end = time.monotonic() + PATIENCE
    there = _signal_group(leader.pid, signal.SIGINT)
    while there and time.monotonic() < end:
        time.sleep(EVERY / 10)
        leader.poll()
        there = _signal_group(leader.pid, 0)
    if there:
        _signal_group(leader.pid, signal.SIGKILL)


def end_with_parent() -> None:
    """Interrupt, then kill this process when the one that `attend` names to its group has ended.

    Where none is named, or one on another machine, nothing is watched."""
    number, _, node = os.environ.get(PARENT_VARIABLE, "").partition("@")
    if number and node == platform.node() and os.name != "nt":
        threading.Thread(target=_end_after, args=(int(number),), daemon=True).start()


def _end_after(number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(number)
        while parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE:
            time.sleep(EVERY)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(PATIENCE)
    os.kill(os.getpid(), signal.SIGKILL)


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def each(
    work: Callable[[Any], Any],
    tasks: Sequence[Any],
    workers: int | None = None,
    label: str | None = None,
    crashed: Callable[[Any, int], Any] | None = None,
) -> Iterator[Any]:
    """Results of `work` for every task, in the tasks' order.

    Parameters
    ----------
    workers : processes, by default one per core; 1 works in this process.
    label : of the progress bar; None shows none.
    crashed : gives the result of a task that twice brought its process down, from the task and
        the process's exit status (negative: the signal that killed it); without it, that is an
        `InputError`.
    """
    workers = min(workers or cores(), len(tasks))
    bar = tqdm(total=len(tasks), desc=label, disable=label is None)
    with bar:
        results = map(work, tasks) if workers <= 1 else _spread(work, tasks, workers, crashed)
        for result in results:
            bar.update()
            yield result


def _serve(connection, work: Callable[[Any], Any]) -> None:
    """What a worker process does: take a task, send its result, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    threadpool_limits(1)  # the processes share the cores already
    connection.send(None)
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer = (work(task), None)
        except Exception as error:
            error.add_note(traceback.format_exc())
            answer = (None, error)
        try:
            connection.send(answer)
        except OSError:
            return


def _end_with_parent() -> None:
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


class _Worker:
    """A process and what it works on: the index of a task, or None."""

    def __init__(self, context, work: Callable[[Any], Any]):
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        self.process.start()
        theirs.close()
        self.index: int | None = None

    def ready(self) -> "_Worker":
        """Wait until the process has started."""
        try:
            self.connection.recv()
        except (EOFError, OSError):
            raise InputError(
                f"worker processes cannot be started (exit status {self.end()}). Give --workers 1; "
                "in a script of your own, call this under \"if __name__ == '__main__':\"."
            ) from None
        return self

    def give(self, index: int, task: Any) -> None:
        self.index = index
        with contextlib.suppress(OSError):  # it died while idle: seen when its answer is read
            self.connection.send(task)

    def end(self, by_force: bool = False) -> int:
        """End the process; returns its exit status."""
        self.connection.close()
        if by_force:
            self.process.terminate()
        self.process.join(PATIENCE)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        return self.process.exitcode


def _context(work: Callable):
    # Forking a process that has threads (torch, BLAS) can hang the child: fork from a clean server.
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__])
    return context


def _spread(work, tasks, workers, crashed) -> Iterator[Any]:
    """A window of tasks is under way at a time, so memory does not grow with their number."""
    context = _context(work)
    pool: list[_Worker] = []
    waiting, done, tried, following = deque(range(len(tasks))), {}, set(), 0
    try:
        for _ in range(workers):
            pool.append(_Worker(context, work))
        for worker in pool:
            worker.ready()
        while following < len(tasks):
            for worker in pool:
                if worker.index is None and waiting and waiting[0] < following + 3 * workers:
                    index = waiting.popleft()
                    worker.give(index, tasks[index])
            busy = {worker.connection: worker for worker in pool if worker.index is not None}
            for connection in wait(list(busy)):
                worker = busy[connection]
                index, worker.index = worker.index, None
                try:
                    result, error = connection.recv()
                except (EOFError, OSError):
                    status = worker.end()
                    pool[pool.index(worker)] = _Worker(context, work).ready()
                    if index not in tried:
                        tried.add(index)
                        waiting.appendleft(index)
                        continue
                    result, error = _after_crash(tasks[index], status, crashed), None
                if error is not None:
                    raise error
                done[index] = result
            while following in done:
                yield done.pop(following)
                following += 1
    except BaseException:
        for worker in pool:
            worker.end(by_force=True)
        raise
    for worker in pool:
        worker.end()


def _after_crash(task: Any, status: int, crashed: Callable[[Any, int], Any] | None) -> Any:
    if crashed is None:
        raise InputError(f"a worker process was ended {ending(status)}. Give fewer workers.")
    return crashed(task, status)


def ending(status: int) -> str:
    """How a process ended that gave no result, from its exit status."""
    if status == -getattr(signal, "SIGKILL", 9):
        return "from outside (signal 9), most often for want of memory"
    return f"by signal {-status}" if status < 0 else f"with exit status {status}"
