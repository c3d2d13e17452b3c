"""Whether one machine trained all that is compared: another one rounds otherwise.

Two machines give the same recipe and seed other digits, and after some epochs other networks. A
difference between predictions of two machines is then no choice's doing.
"""

from pathlib import Path

from mrnetlib.files import InputError, read_json
from mrnetlib.study import Study

#: What the digits of a training depend on besides its settings, as runs note it.
TOLD = ("processor", "device", "precision", "torch")


def one_machine(study: Study) -> tuple[dict[str, str | None], list[str]]:
    """The machine that trained a study's networks and those of its retraining.

    The notes of the runs in ``data/<study>/runs`` are read, or where a run left none, what the
    provenance beside the results holds of it.

    Returns
    -------
    What `TOLD` names (None where a note does not say), and the runs of which nothing is noted:
    those that were run by hand. Nothing can be said of them.

    Raises
    ------
    InputError
        Where two runs had different machines or arithmetic; the message names both.
    """
    first, missing, machine = "", [], dict.fromkeys(TOLD)
    for run, collected in _runs(study).items():
        note = _noted(study, run, collected)
        if note is None:
            missing.append(run)
            continue
        own = note["machine"] | {"torch": note["versions"].get("torch")}
        own = {key: own.get(key) for key in TOLD}
        first, machine = (first, machine) if first else (run, own)
        for key in TOLD:
            if own[key] != machine[key]:
                raise InputError(
                    f"study {study.name}: {run} was trained with {key} {own[key]}, {first} with "
                    f"{machine[key]}; expected one machine, or its difference is taken for a "
                    f"choice's. Run 'make study' and 'make choices' on the same machine."
                )
    return machine, missing


def _runs(study: Study) -> dict[str, Path]:
    """The runs whose predictions are compared, and the file that collects their notes."""
    settings, found = study.settings, {}
    for plane in settings.planes:
        for name in settings.architectures:
            run = f"02_per_plane_training_{name}_{plane}"
            found[run] = study.results / "provenance.json"
        for name in settings.choices_architectures:
            found[f"choices_{name}_{plane}"] = study.results / "choices" / "provenance.json"
    return found


def _noted(study: Study, run: str, collected: Path) -> dict | None:
    """What is noted of a run, None where nothing is."""
    path = study.data / "runs" / f"{run}.json"
    if path.is_file():
        return read_json(path)
    content = read_json(collected) if collected.is_file() else {"runs": []}
    for note in content["runs"]:
        if note["run"] == run:
            return content | note  # what all runs share stands once
    return None
