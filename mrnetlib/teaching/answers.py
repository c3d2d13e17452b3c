"""How an answer is held against the truth: what is wrong with it in a sentence that gives no key.

Every function returns None for a right answer, and else the reason.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mrnetlib.files import InputError
from mrnetlib.settings import STEPS, keys_of
from mrnetlib.study import Study


@dataclass(frozen=True)
class Exercise:
    """What an exercise expects, as a noun, and how an answer to it is judged.

    ``judge(answer, study)`` returns None where the answer is right, and else the reason. It may
    raise what a wrong answer of the student's raises; an `InputError` says that the study lacks
    the files to tell.
    """

    expects: str
    judge: Callable[[Any, Study], str | None]


def table_of(path: Path, made_by: str) -> pd.DataFrame:
    """A table of a study's results; a missing one is an `InputError` that says what makes it."""
    if not path.is_file():
        raise InputError(f"{path}: not found. Run {made_by} first.")
    return pd.read_csv(path)


def chain_and_first(key: str) -> tuple[list[str], int]:
    """The steps of a study, and the place of the first one that reads a setting."""
    chain = [step for step in STEPS if step != "choices"]
    return chain, next(place for place, step in enumerate(chain) if key in keys_of(step))


#: Significant digits to which a number may be rounded, unless it is a count.
DIGITS = 2


def number(answer: Any, truth: float, within: float, hint: str) -> str | None:
    """A number that may be off by `within` or rounded to `DIGITS` digits; exact where that is 0."""
    if isinstance(answer, bool) or not isinstance(answer, int | float | np.number):
        return f"expected a number, found {_kind(answer)}."
    if not math.isfinite(answer):
        return f"{answer} is no number that can be compared."
    if abs(answer - truth) <= within or (within and _rounded(answer, truth)):
        return None
    if within and abs(answer - truth) <= 0.5 * _unit(truth, 1):
        return f"near, but not near enough: {DIGITS} significant digits are asked for. {hint}"
    return f"too {'large' if answer > truth else 'small'}. {hint}"


def _unit(truth: float, digits: int) -> float:
    """One of the last of so many significant digits of a number."""
    return 10.0 ** (math.floor(math.log10(abs(truth))) - digits + 1) if truth else 0.0


def _rounded(answer: float, truth: float) -> bool:
    """Whether an answer is the truth rounded to `DIGITS` significant digits or to more."""
    for digits in range(DIGITS, 9):
        unit = _unit(truth, digits)
        whole = unit and math.isclose(answer / unit, round(answer / unit), rel_tol=1e-9)
        if whole and abs(answer - truth) <= 0.5 * unit * (1 + 1e-9):
            return True
    return False


def numbers(answer: Any, truth: Sequence[float], within: float, hints: Sequence[str]) -> str | None:
    """Several numbers in their order, each with the hint for its place."""
    if not isinstance(answer, list | tuple | np.ndarray) or len(answer) != len(truth):
        return f"expected {len(truth)} numbers in brackets, found {_kind(answer)}."
    for place, (one, true, hint) in enumerate(zip(answer, truth, hints, strict=True), 1):
        if reason := number(one, true, within, hint):
            return f"number {place} is {reason}" if reason.endswith(hint) else reason
    return None


def by_name(answer: Any, truth: Mapping[str, float], within: float, hint: str) -> str | None:
    """A dict with a number for each name."""
    if not isinstance(answer, Mapping) or set(answer) != set(truth):
        return f"expected a dict with the keys {', '.join(truth)}, found {_kind(answer)}."
    for name, true in truth.items():
        if reason := number(answer[name], true, within, hint):
            return f"{name}: {reason}"
    return None


def choice(answer: Any, truth: Any, known: Collection[Any], hint: str) -> str | None:
    """One of several things."""
    if isinstance(answer, list):
        answer = tuple(answer)
    if answer not in known:
        return f"expected one of {', '.join(map(str, known))}; found {_kind(answer)}."
    return None if answer == truth else f"it is another one. {hint}"


def names(answer: Any, truth: Collection[Any], known: Collection[Any], hint: str) -> str | None:
    """A list without an order."""
    if not isinstance(answer, list | tuple | set):
        return f"expected a list, found {_kind(answer)}."
    given = {tuple(one) if isinstance(one, list) else one for one in answer}
    strange = [one for one in given if one not in known]
    if strange:
        return f"{strange[0]!r} is none of {', '.join(map(str, known))}."
    extra, missing = len(given - set(truth)), len(set(truth) - given)
    if not extra and not missing:
        return None
    parts = ["some of the list do not belong to it"] * bool(extra)
    parts += ["some are missing"] * bool(missing)
    return f"{' and '.join(parts)}. {hint}"


def function(
    answer: Any, right: Callable[..., Any], cases: Sequence[tuple], hint: str, within: float = 1e-6
) -> str | None:
    """A function that gives what `right` gives for the arguments of every case."""
    if not callable(answer):
        return f"expected a function, without its brackets; found {_kind(answer)}."
    for place, arguments in enumerate(cases, 1):
        try:
            found = np.asarray(answer(*arguments), float)
        except Exception as error:
            return f"case {place}: your function raised {type(error).__name__}: {error}"
        wanted = np.asarray(right(*arguments), float)
        if found.shape != wanted.shape:
            return f"case {place}: expected the shape {wanted.shape}, found {found.shape}. {hint}"
        if not np.allclose(found, wanted, rtol=0, atol=within, equal_nan=True):
            return f"case {place} of {len(cases)} comes out otherwise. {hint}"
    return None


def _kind(answer: Any) -> str:
    text = repr(answer)
    return f"{type(answer).__name__} {text if len(text) <= 60 else text[:60] + '...'}"
