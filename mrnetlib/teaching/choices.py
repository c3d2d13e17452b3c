"""The exercises of notebook 06; the first and the third need what ``make choices`` has made."""

from typing import Any

import numpy as np
import pandas as pd

from mrnetlib.study import Study
from mrnetlib.teaching.answers import (
    Exercise,
    chain_and_first,
    choice,
    function,
    names,
    numbers,
    table_of,
)


def _summary(study: Study) -> pd.DataFrame:
    path = study.results / "choices" / "summary.csv"
    return table_of(path, "'make choices' and this notebook")


def _farthest(answer: Any, study: Study) -> str | None:
    table = _summary(study)
    areas = table[table["number"].str.contains("AUC")]
    truth = areas.loc[areas["difference"].abs().idxmax(), "choice"]
    hint = "Up or down does not matter, and only rows whose number is an AUC count."
    return choice(answer, truth, sorted(set(areas["choice"])), hint)


def _seeds_needed(answer: Any, study: Study) -> str | None:
    cases = [(0.02, 0.03), (0.01, 0.04), (0.03, 0.03), (0.05, 0.02)]

    def right(by_seeds: float, by_exams: float) -> int:
        return int(np.ceil(10 * by_seeds**2 / by_exams**2 - 1e-9))

    hint = "The seeds' part of the variance is divided by their number; the exams' part is not."
    return function(answer, right, cases, hint)


def _at_a_lower_level(answer: Any, study: Study) -> str | None:
    table = _summary(study)
    truth = int((table["p"] < 0.2).sum()), 0.2 * len(table)
    hints = (
        "Count the p-values below 1 - 0.8, as they are, not corrected.",
        "If no choice did anything, every p-value would be equally likely to lie anywhere in 0..1.",
    )
    return numbers(answer, truth, 0.5, hints)


def _another_choice(answer: Any, study: Study) -> str | None:
    chain, first = chain_and_first("weight_decay")
    hint = "What reads the weight decay, and what comes after it?"
    return names(answer, chain[:first], chain, f"The others have to stay as they are. {hint}")


EXERCISES = {
    "06-1": Exercise("a choice, as it is called in the closing table", _farthest),
    "06-2": Exercise("a function of two standard deviations", _seeds_needed),
    "06-3": Exercise("two numbers", _at_a_lower_level),
    "06-4": Exercise("a list of steps", _another_choice),
}
