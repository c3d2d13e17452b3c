"""The exercises of notebook 08; the first needs the reading that the notebook has written."""

from typing import Any

from mrnetlib.files import InputError, read_json
from mrnetlib.reading.read import JSON
from mrnetlib.study import Study
from mrnetlib.teaching.answers import Exercise, by_name, names

#: What is said of "15 of the 20 nearest had the finding", and whether it is so.
STATEMENTS = {"a": False, "b": True, "c": True, "d": False, "e": True}


def _added_up(answer: Any, study: Study) -> str | None:
    path = study.data / "own_exam" / "reading" / JSON
    if not path.is_file():
        raise InputError(f'{path}: not found. Run this notebook first, with out = "".')
    evidence = read_json(path)["evidence"]
    planes = evidence["acl" if "acl" in evidence else next(iter(evidence))]
    truth = {plane: one["logit"] for plane, one in planes.items()}
    hint = "The shares of all slices and the bias; both stand in the file, by task and plane."
    return by_name(answer, truth, 1e-3, hint)


def _wording(answer: Any, study: Study) -> str | None:
    right = [letter for letter, is_so in STATEMENTS.items() if is_so]
    hint = (
        "Ask of each: is it about a share among many exams like the study's, or about this knee? "
        "And what does an interval do when more exams are asked?"
    )
    return names(answer, right, list(STATEMENTS), hint)


EXERCISES = {
    "08-1": Exercise('a dict of a number for each plane, as in {"axial": 0.5, ...}', _added_up),
    "08-2": Exercise('a list of letters, as in ["a", "b"]', _wording),
}
