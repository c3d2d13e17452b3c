"""What notebook 06 compares was trained on one machine, or it is refused."""

import pytest

from mrnetlib.files import InputError, write_json
from mrnetlib.settings import Settings
from mrnetlib.study import Study
from mrnetlib.variants.machines import TOLD, one_machine

MACHINE = {"processor": "A", "device": "cpu", "precision": "bf16", "threads": 1}
VERSIONS = {"torch": "2.1", "numpy": "2.0"}
OWN = ["02_per_plane_training_alexnet_axial", "02_per_plane_training_resnet18_axial"]
AGAIN = ["choices_alexnet_axial"]


@pytest.fixture
def study(tmp_path):
    """A study of two architectures, one of which is trained again."""
    settings = Settings(
        architectures=("alexnet", "resnet18"), choices_architectures=("alexnet",), planes=("axial",)
    )
    return Study("own", settings, tmp_path)


def note(run, machine=(), versions=()):
    return {
        "run": run,
        "machine": MACHINE | dict(machine),
        "versions": VERSIONS | dict(versions),
    }


def write_notes(study, **changed):
    for run in OWN + AGAIN:
        content = note(run, **changed if run in AGAIN else {})
        write_json(study.data / "runs" / f"{run}.json", content)


def test_runs_of_one_machine_are_told_as_one(study):
    write_notes(study, machine={"threads": 2}, versions={"numpy": "2.4"})
    machine, missing = one_machine(study)
    assert machine == {"processor": "A", "device": "cpu", "precision": "bf16", "torch": "2.1"}
    assert list(machine) == list(TOLD) and missing == []


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"machine": {"processor": "B"}}, "processor B, .*alexnet_axial with A"),
        ({"machine": {"device": "NVIDIA"}}, "device NVIDIA, .* with cpu"),
        ({"machine": {"precision": "fp32"}}, "precision fp32, .* with bf16"),
        ({"versions": {"torch": "2.2"}}, r"torch 2\.2, .* with 2\.1"),
    ],
)
def test_predictions_of_two_machines_are_refused(study, changed, found):
    write_notes(study, **changed)
    message = f"study own: choices_alexnet_axial was trained with {found}; expected one machine"
    with pytest.raises(InputError, match=message):
        one_machine(study)


def test_another_architecture_of_another_machine_is_refused_too(study):
    write_notes(study)
    write_json(study.data / "runs" / f"{OWN[1]}.json", note(OWN[1], {"processor": "B"}))
    with pytest.raises(InputError, match="resnet18_axial was trained with processor B"):
        one_machine(study)


def test_results_that_came_with_the_project_are_told_by_their_provenance(study):
    shared = {"machine": MACHINE, "versions": VERSIONS}
    runs = [{"run": OWN[0]}, {"run": OWN[1]}, {"run": "03_fusion", "machine": {"processor": "C"}}]
    write_json(study.results / "provenance.json", shared | {"runs": runs})
    assert one_machine(study)[1] == AGAIN, "nothing is noted of these"
    path = study.results / "choices" / "provenance.json"
    write_json(path, shared | {"runs": [{"run": AGAIN[0]}]})
    assert one_machine(study) == ({key: (MACHINE | VERSIONS)[key] for key in TOLD}, [])
    other = {"machine": MACHINE | {"processor": "B"}}
    write_json(path, shared | {"runs": [{"run": AGAIN[0]} | other]})
    with pytest.raises(InputError, match="processor B"):
        one_machine(study)


def test_nothing_is_known_of_runs_by_hand(study):
    machine, missing = one_machine(study)
    assert set(machine.values()) == {None} and missing == [*OWN, *AGAIN]
