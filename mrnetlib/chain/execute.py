"""One notebook executed by papermill, in a kernel of this interpreter."""

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mrnetlib
from mrnetlib.files import InputError

if TYPE_CHECKING:
    import nbformat  # which takes seconds, as papermill does: where they are needed

#: ipykernel warns on every start about settings that papermill cannot make, and calls it an error
#: that it is interrupted before it is shut down. What a cell raises is shown all the same.
QUIET_KERNEL = ["--log-level=50"]


class NotebookError(RuntimeError):
    """A cell failed; the message carries the notebook, the cell and the traceback."""


def for_papermill(path: Path) -> str:
    """A path as papermill takes it, which puts parameters in at braces: a folder may have some."""
    return str(path).replace("{", "{{").replace("}", "}}")


def execute(path: Path, parameters: dict[str, Any], aside: Path) -> "nbformat.NotebookNode":
    """Run a notebook's cells in its folder; what they print goes to the terminal.

    The kernel is this interpreter with this library, whatever other environment has put a kernel
    of the same name where Jupyter would find it first.

    Parameters
    ----------
    aside : where the notebook is left as far as it came, if a cell fails.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    for variable, folder in (
        ("JUPYTER_PATH", Path(sys.prefix) / "share" / "jupyter"),
        ("PYTHONPATH", Path(mrnetlib.__file__).parent.parent),
    ):
        known = [str(folder), os.environ.get(variable)]
        os.environ[variable] = os.pathsep.join(filter(None, known))
    aside.parent.mkdir(parents=True, exist_ok=True)
    failed = False
    try:
        return papermill.execute_notebook(
            for_papermill(path),
            for_papermill(aside),
            parameters=parameters,
            cwd=str(path.parent),
            progress_bar=sys.stderr.isatty(),  # cells, where somebody watches
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
            extra_arguments=QUIET_KERNEL,
        )
    except DeadKernelError:
        raise InputError(
            f"{path.name}: its kernel was killed, most likely by the system for want of memory. "
            "Close other programs, run fewer steps at a time (--cores 1), or set a smaller "
            "batch_exams or image_size in the study file; then run it again."
        ) from None
    except papermill.PapermillExecutionError as error:
        if error.ename == "InputError":
            raise InputError(f"{path.name}: {error.evalue}") from None
        failed = True
        raise NotebookError(
            f"{path.name}, cell {error.exec_count}: {error.ename}: {error.evalue}\n"
            + "\n".join(error.traceback)
            + f"\nthe notebook as far as it came: {aside}"
        ) from None
    finally:
        if not failed:
            aside.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # other notebooks have failed
                aside.parent.rmdir()
