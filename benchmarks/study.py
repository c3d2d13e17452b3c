"""Where the minutes of a study go: starting notebooks, data, training, drawing.

    python -m benchmarks.study --study phantom --json FILE

Reads what the last run of the study noted in ``data/<study>/runs/``; run the study first. Seconds
are those of the runs, of which as many go on at a time as there are cores.
"""

import argparse
from pathlib import Path

import pandas as pd

from mrnetlib import study as studies
from mrnetlib.files import InputError, read_json, write_json
from mrnetlib.names import history_path
from mrnetlib.provenance import circumstances

#: Steps that make or move exams; the rest of what is no training computes tables.
DATA = ("00_exams", "01_preprocessing")


def training_seconds(this: studies.Study, note: dict) -> float:
    """Seconds in the training loop of a run of notebook 02."""
    parameters = note["parameters"]
    planes, tasks = (parameters[key].split(",") for key in ("planes", "tasks"))
    return sum(
        pd.read_csv(history_path(this.results, parameters["architecture"], plane, task))[
            "seconds"
        ].sum()
        for plane in planes
        for task in tasks
    )


def spent(this: studies.Study, note: dict) -> dict[str, float]:
    """Seconds of one run by what they went into."""
    if note["step"] in ("pretraining", "models"):
        return {note["step"]: note["seconds"]}
    parts = note["parts"]
    row = {"start-up": parts["start"] + parts["imports"]}
    row["drawing"] = parts["drawing"] + parts["report"]
    if note["step"] in DATA:
        return row | {"data": parts["work"]}
    if note["step"].startswith("02"):
        training = training_seconds(this, note)
        return row | {"training": training, "predictions and tables": parts["work"] - training}
    return row | {"predictions and tables": parts["work"]}


def main() -> None:
    """Read, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="phantom")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    this = studies.load(arguments.study)
    chain = read_json(this.results / "provenance.json")["runs"]
    paths = [this.data / "runs" / f"{run['run']}.json" for run in chain]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: not found. Run `make study STUDY={this.name}` first.")
    notes = [read_json(path) for path in paths]
    table = pd.DataFrame([{"run": note["run"], **spent(this, note)} for note in notes])
    table = table.set_index("run").fillna(0)
    table["all"] = table.sum(axis=1)
    table.loc["all"] = table.sum()
    print(table.round(0).astype(int).to_string())
    print((table.loc["all"] / table.loc["all", "all"]).map("{:.0%}".format).to_string())
    if arguments.json:
        content = {"study": this.name, "seconds": table.round(1).T.to_dict()}
        write_json(arguments.json, content | circumstances(this))


if __name__ == "__main__":
    main()
