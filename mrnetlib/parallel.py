"""Work spread over processes in a fixed order, one process's crash being one task's failure."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _one_thread() -> None:
    threadpool_limits(1)  # the processes share the cores already


def _pool(work: Callable, workers: int) -> ProcessPoolExecutor:
    # Forking a process that has threads (torch, BLAS) can hang the child: fork from a clean server.
    if "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([work.__module__])
    else:
        context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread)


def each(
    work: Callable[[Any], Any],
    tasks: Sequence[Any],
    workers: int | None = None,
    label: str | None = None,
    crashed: Callable[[Any], Any] | None = None,
) -> Iterator[Any]:
    """Results of `work` for every task, in the tasks' order.

    Parameters
    ----------
    workers : processes, by default one per core; 1 works in this process.
    label : of the progress bar; None shows none.
    crashed : gives the result of a task that brought its process down; without it, that raises.
    """
    workers = min(workers or cores(), len(tasks))
    bar = tqdm(total=len(tasks), desc=label, disable=label is None)
    with bar:
        results = map(work, tasks) if workers <= 1 else _spread(work, tasks, workers, crashed)
        for result in results:
            bar.update()
            yield result


def _spread(work, tasks, workers, crashed) -> Iterator[Any]:
    """A window of tasks is under way at a time, so memory does not grow with their number."""
    waiting = deque(tasks)
    running: deque[tuple[Any, Future]] = deque()
    pool = _pool(work, workers)
    try:
        while waiting or running:
            while waiting and len(running) < 3 * workers:
                task = waiting.popleft()
                running.append((task, pool.submit(work, task)))
            task, future = running.popleft()
            try:
                result = future.result()
            except BrokenProcessPool:
                pool.shutdown(wait=True)
                pool = _pool(work, workers)
                result = _alone(work, task, crashed)
                # The others went down with the pool; each starts again.
                running = deque((other, pool.submit(work, other)) for other, _ in running)
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _alone(work, task, crashed) -> Any:
    """A task in a process of its own, which may crash."""
    with _pool(work, 1) as pool:
        try:
            return pool.submit(work, task).result()
        except BrokenProcessPool:
            if crashed is None:
                raise
            return crashed(task)
