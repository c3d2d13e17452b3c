"""The exercises of notebook 07; the second needs what ``make looks`` has made, the last, too."""

from typing import Any

import numpy as np

from mrnetlib.reading.scores import ALL, EVIDENCE, LESIONS_OF
from mrnetlib.study import Study
from mrnetlib.teaching.answers import Exercise, choice, function, number, table_of


def _inside(answer: Any, study: Study) -> str | None:
    generator = np.random.default_rng(0)
    cases = [
        (generator.normal(size=(3, 2, 2)), generator.random((3, 2, 2)) < share)
        for share in (0.3, 0.6, 0.0)
    ]
    cases.append((np.full((1, 2, 2), -1.0), np.ones((1, 2, 2), bool)))

    def right(shares: np.ndarray, lesion: np.ndarray) -> float:
        given = shares.clip(min=0)
        return float(given[lesion].sum() / given.sum()) if given.sum() else 0.0

    hint = "Only places that speak for the finding count, above and below the line; none: 0."
    return function(answer, right, cases, hint)


def _above_chance(answer: Any, study: Study) -> str | None:
    table = table_of(study.results / "looks.csv", "'make looks'")
    own = table[(table["plane"] == ALL) & (table["architecture"] == ALL)]
    wide = own[own["measure"] == "inside"].pivot(index="task", columns="source", values="estimate")
    factors = wide[EVIDENCE] / wide["chance"]
    if not isinstance(answer, list | tuple) or len(answer) != 2:
        return f"expected a task and a factor in brackets, found {type(answer).__name__}."
    hint = "Divide the evidence's estimate by that of chance, measure inside, all planes together."
    task, factor = answer
    wrong = choice(task, factors.idxmax(), list(factors.index), hint)
    return wrong or number(factor, factors.max(), 0.02 * factors.max(), hint)


def _of_slices(answer: Any, study: Study) -> str | None:
    generator = np.random.default_rng(0)
    cases = [
        (generator.random((slices, features)), generator.normal(size=features))
        for slices, features in ((4, 6), (1, 3), (12, 5))
    ]
    cases.append((np.array([[2.0, 0.5], [2.0, 1.0]]), np.array([1.0, -1.0])))

    def right(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
        shares = np.zeros(len(features))
        np.add.at(shares, features.argmax(axis=0), weights * features.max(axis=0))
        return shares

    hint = "A feature gives its whole share to one slice: its winner, the first of equals."
    return function(answer, right, cases, hint)


def _not_its_own(answer: Any, study: Study) -> str | None:
    table = table_of(study.results / "looks_removed.csv", "'make looks'")
    own = table[(table["view"] == "multi") & (table["architecture"] == ALL)]
    own = own[(own["severity"] == ALL) & own["task"].isin(LESIONS_OF)]
    pairs = own.set_index(["kind", "task"])["change"].abs()
    others = pairs[[kind not in LESIONS_OF[task] for kind, task in pairs.index]]
    hint = (
        "Of the fused probabilities (view multi), all severities and architectures together, take "
        "the ACL's and the meniscus' rows without those of their own tear."
    )
    return choice(answer, others.idxmax(), list(pairs.index), hint)


EXERCISES = {
    "07-1": Exercise("a function of shares and a lesion", _inside),
    "07-2": Exercise('a task and a factor, as in ("abnormal", 1.5)', _above_chance),
    "07-3": Exercise("a function of features and weights", _of_slices),
    "07-4": Exercise('a lesion and a task, as in ("ACL tear", "meniscus")', _not_its_own),
}
