"""``exercises.check("03-1", answer, this)``: is an answer right, and if not, why not?"""

import importlib
from dataclasses import dataclass
from typing import Any

from mrnetlib import study as studies
from mrnetlib.files import InputError
from mrnetlib.settings import did_you_mean
from mrnetlib.study import Study
from mrnetlib.teaching.answers import Exercise

#: The module with the exercises of a notebook, imported when one of them is checked.
MODULES = {
    "00": "exams",
    "01": "greys",
    "02": "networks",
    "03": "planes",
    "04": "tables",
    "05": "digits",
    "06": "choices",
    "07": "shares",
    "08": "own_exam",
    "09": "transfer",
}


@dataclass(frozen=True)
class Verdict:
    """What is said of an answer; a notebook shows it as a line."""

    name: str
    right: bool
    reason: str

    def __str__(self) -> str:
        return f"{'✓' if self.right else '✗'} {self.name}: {self.reason}"

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        return f"{'✅' if self.right else '❌'} **{self.name}**: {self.reason}"


def exercises_of(notebook: str) -> dict[str, Exercise]:
    """The exercises of a notebook by their names, from the two digits that its own begins with."""
    if notebook not in MODULES:
        raise InputError(
            f"notebook {notebook}: has no exercises. {did_you_mean(notebook, [*MODULES])}"
        )
    return importlib.import_module(f"mrnetlib.teaching.{MODULES[notebook]}").EXERCISES


def check(name: str, answer: Any = ..., study: Study | None = None) -> Verdict:
    """Judge an answer to an exercise.

    Parameters
    ----------
    name : of the exercise, as in ``03-1``.
    answer : what the exercise asks for; ``...`` for none yet.
    study : whose files tell what is right; the default study if it is not given.

    Returns
    -------
    Whether the answer is right, and the reason, which does not give the right one.

    Raises
    ------
    InputError
        For an exercise that there is not.
    """
    known = exercises_of(name[:2])
    if name not in known:
        raise InputError(f"exercise {name}: there is none. {did_you_mean(name, list(known))}")
    exercise = known[name]
    if answer is ...:
        return Verdict(name, False, f"no answer yet. Expected: {exercise.expects}.")
    try:
        reason = exercise.judge(answer, study or studies.load("phantom"))
    except InputError as error:
        reason = f"this cannot be told with the files of the study. {error}"
    return Verdict(name, reason is None, reason or "right.")
