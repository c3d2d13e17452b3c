"""The model card that goes with a study's networks, written from its results."""

from typing import Any

import pandas as pd

from mrnetlib.files import InputError
from mrnetlib.names import PLANE_TITLES, TASK_TITLES, architecture_title
from mrnetlib.reading.reading import DISCLAIMER
from mrnetlib.study import Study

#: What "multi" and its neighbours are called.
VIEWS = {
    "multi": "all planes fused",
    "single-best": "the best plane",
    "single-mean": "the mean of single planes",
}
MEASURES = ("auc", "sensitivity", "specificity", "accuracy")


def card(study: Study, architecture: str, model: dict[str, Any]) -> str:
    """The text of ``MODEL_CARD.md``.

    Parameters
    ----------
    model : as `mrnetlib.reading.export.describe` gives it.
    """
    title = f"{architecture_title(architecture)}, seed {model['seed']}, of the study {study.name}"
    parts = [
        f"# {title}",
        f"**{DISCLAIMER}**",
        _about(study, model),
        f"## Measures\n\n{_measures(study, architecture)}",
        f"## Limits\n\n{_limits(study, model)}",
        f"## How it was made\n\n{_made(model)}",
    ]
    return "\n\n".join(parts) + "\n"


def _about(study: Study, model: dict[str, Any]) -> str:
    tasks = ", ".join(TASK_TITLES.get(task, task) for task in model["tasks"])
    planes = ", ".join(PLANE_TITLES[plane].lower() for plane in model["planes"])
    data = model["data"] or "not described in the study file"
    return (
        "## What it is for\n\n"
        f"{len(model['planes']) * len(model['tasks'])} networks, one per plane ({planes}) and "
        f"task ({tasks}), and a logistic regression per task that fuses the planes. They are for "
        "teaching, for trying the method, and for comparison with other networks on the same "
        "exams.\n\n"
        "Not for: a patient's exam, a decision about anyone, or a claim about how well such "
        "networks do in a hospital.\n\n"
        "## Data\n\n"
        f"{data[0].upper()}{data[1:]}. {model['training_exams']} exams trained the networks, "
        "others chose the epoch, and the test exams of the measures below took part in "
        "neither. "
        f"Slices are {model['image_size']} x {model['image_size']} pixels"
        + (", brought to one grey scale by the landmarks beside this card." if not model["white"]
           else ", on one linear grey scale.")
    )  # fmt: skip


def _measures(study: Study, architecture: str) -> str:
    path = study.results / "table1_intervals.csv"
    if not path.is_file():
        raise InputError(f"{path}: not found. Run notebook 04_single_vs_multi_view first.")
    table = pd.read_csv(path)
    table = table[table["architecture"] == architecture]
    lines = [
        f"| views | class | {' | '.join(name if name != 'auc' else 'AUC' for name in MEASURES)} |",
        f"| --- | --- |{' ---: |' * len(MEASURES)}",
    ]
    for row in table.to_dict("records"):
        cells = [
            f"{row[name]:.2f} ({row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f})"
            for name in MEASURES
        ]
        name = TASK_TITLES.get(row["class"], str(row["class"]).capitalize())
        lines.append(f"| {VIEWS.get(row['views'], row['views'])} | {name} | {' | '.join(cells)} |")
    counted = sorted(set(table["n"]))
    covers = "; ".join(dict.fromkeys(table["covers"].astype(str)))
    return "\n".join(lines) + (
        f"\n\nOn {', '.join(map(str, counted))} test exams, at a threshold of 0.5, with 95 % "
        f"intervals over {covers}. All seeds of the architecture together; this folder holds one "
        "of them."
    )


def _limits(study: Study, model: dict[str, Any]) -> str:
    lines = []
    if model["synthetic"]:
        lines.append(
            "The exams are synthetic: how visible a lesion is was decided by the phantom's "
            "authors. Nothing measured here says anything about patients."
        )
    path = study.results / "calibration.csv"
    if path.is_file():
        table = pd.read_csv(path)
        for row in table[table["architecture"] == model["architecture"]].to_dict("records"):
            lines.append(
                f"{TASK_TITLES.get(row['class'], row['class'])}: on the test exams it predicts "
                f"{row['predicted']:.0%} positive where {row['observed']:.0%} are: read its "
                "probability beside what the test exams with the like had."
            )
    lines.append(
        "An exam unlike the training exams gets a probability all the same. A reading measures how "
        "far it lies and warns; it cannot notice every way to be different."
    )
    return "\n".join(f"- {line}" for line in lines)


def _made(model: dict[str, Any]) -> str:
    settings, checks = model["settings"], model["checks"].values()
    names = ("weights", "head", "epochs", "learning_rate", "weight_decay", "batch_exams")
    recipe = ", ".join(f"{name} {settings[name]}" for name in names)
    kinds = [check["weights"] for check in checks]
    moved, apart = (
        max(check[name] for check in checks) for name in ("auc_moved", "auc_from_results")
    )
    furthest = max(check["probability_moved"] for check in checks)
    commit = model["commit"] or "unknown"
    changed = ", with changes that were not committed" if model["changed_since"] else ""
    return (
        f"Recipe: {recipe}; all settings are in `model.json`. Fusion fitted on "
        f"{model['fitted_on']}. Written by commit {commit}{changed}, torch "
        f"{model['versions']['torch']}. {kinds.count('half')} of {len(kinds)} networks are kept in "
        f"half precision, which moved no AUC on the tuning exams by more than {moved:.4f} and no "
        f"probability by more than {furthest:.4f}. Read in single precision, no network's AUC on "
        f"the test exams is further than {apart:.4f} from that of the study's own predictions."
        "\n\n"
        "`manifest.json` holds the SHA-256 of every file. Read an exam with "
        "`python -m mrnetlib read EXAM --models FOLDER --out NEW_FOLDER`."
    )
