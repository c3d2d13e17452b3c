"""Exams read by a study's networks: what is written of them, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import files_in, planted_labels, planted_volume
from dicom_files import dataset, save, write_series
from scipy.special import expit

from mrnetlib import files, fusion
from mrnetlib import study as studies
from mrnetlib.__main__ import main
from mrnetlib.chain import keep
from mrnetlib.evaluation import verify
from mrnetlib.evaluation.predictions import read_predictions
from mrnetlib.exams import banks, intake, intensity, layout
from mrnetlib.files import InputError
from mrnetlib.names import PLANES, SPLITS, history_path, prediction_path
from mrnetlib.reading import distances, models, support
from mrnetlib.reading.arrival import arrive
from mrnetlib.reading.command import names_of
from mrnetlib.reading.export import export
from mrnetlib.reading.read import read
from mrnetlib.training.checkpoints import save_tensors
from mrnetlib.training.networks import ExamNetwork, build_backbone
from mrnetlib.training.predict import predict_all

SIZE, ARCHITECTURE, TASKS = 64, "squeezenet1_1", ["acl"]
STUDY = f"""description: squares in noise
data: mrnet
exams_folder: exams
architectures: [{ARCHITECTURE}]
tasks: {TASKS}
image_size: {SIZE}
seeds: 2
keep_models: [{ARCHITECTURE}]
device: cpu
threads: 1
"""


def network_of(seed: int) -> ExamNetwork:
    torch.manual_seed(seed)
    network = ExamNetwork(build_backbone(ARCHITECTURE), 100.0, 40.0).eval()
    with torch.no_grad():  # so that exams are told apart, and not all of one kind
        network.head.weight.mul_(5)
    return network


def write_exams(study: studies.Study) -> pd.DataFrame:
    """Planted exams of 64 pixels, their landmarks and their banks; gives the inventory."""
    for split, labels in (("train", planted_labels(16)), ("test", planted_labels(8, 16))):
        layout.write_labels(study.exams, split, labels)
        for exam, row in labels.iterrows():
            rng = np.random.default_rng(int(exam))
            counts = rng.integers(5, 8, 3)
            volumes = {
                p: planted_volume(row, int(n), rng, SIZE)
                for p, n in zip(PLANES, counts, strict=True)
            }
            layout.write_exam(study.exams, split, exam, volumes)
    inventory = intake.take_inventory(study.exams, 0.25, seed=0, progress=False)
    files.write_csv(study.data / "exams.csv", inventory)

    def volume(exam, split, plane):
        return layout.read_volume(layout.volume_path(study.exams, split, plane, exam))

    train = inventory[inventory["split"] == "train"]["exam"]
    scales = {p: intensity.learn(volume(e, "train", p) for e in train) for p in PLANES}
    intensity.save(study.data / "landmarks.json", scales)
    for split in SPLITS:
        rows = inventory[inventory["split"] == split]
        for plane in PLANES:
            made = (intensity.apply(volume(e, split, plane), scales[plane]) for e in rows["exam"])
            banks.write_bank(study.banks, split, plane, rows, made)
    return inventory


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> studies.Study:
    """A study that has trained two seeds, as far as its files say, and exported both."""
    root = tmp_path_factory.mktemp("root")
    (root / "exams").mkdir()
    files.write_text(root / "studies" / "own.yaml", STUDY)
    files.write_text(root / "Snakefile", "")
    study = studies.load("own", root)
    write_exams(study)
    epoch = {"epoch": 1, "tune_loss": 0.5, "tune_auc": 0.5, "seconds": 1.0}
    for number, plane in enumerate(PLANES):
        own = {split: banks.ExamBank.open(study.banks, split, plane) for split in SPLITS}
        for task in TASKS:
            tables, epochs = [], []
            for seed in (0, 1):
                network = network_of(10 * number + seed)
                name = f"{ARCHITECTURE}_{plane}_{task}_{seed}.pt"
                save_training(study, name, network, [epoch | {"train_loss": seed + 0.5}])
                epochs.append(epoch | {"train_loss": seed + 0.5, "best": 1, "seed": seed})
                tables.append(predict_all(network, own, task).assign(seed=seed))
            path = prediction_path(study.results, ARCHITECTURE, plane, task)
            files.write_csv(path, pd.concat(tables))
            path = history_path(study.results, ARCHITECTURE, plane, task)
            files.write_csv(path, pd.DataFrame(epochs))
    row = {"architecture": ARCHITECTURE, "views": "multi", "class": "acl", "n": 12, "covers": "x"}
    for name in ("auc", "sensitivity", "specificity", "accuracy"):
        row |= {name: 0.625, f"{name}_low": 0.375, f"{name}_high": 0.875}
    files.write_csv(study.results / "table1_intervals.csv", pd.DataFrame([row]))
    for seed in (0, 1):
        export(study, ARCHITECTURE, seed)
    return study


@pytest.fixture(scope="module")
def chosen(finished) -> models.Models:
    return models.load(finished.results)


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    """The models of both seeds, to be damaged."""
    return shutil.copytree(finished.results / "models", tmp_path / "models")


def write_arrays(
    study: studies.Study, folder: Path, exam: str = "0019", planes=PLANES, split: str = "test"
) -> Path:
    for plane in planes:
        source = layout.volume_path(study.exams, split, plane, exam)
        files.write_array(folder / f"{plane}.npy", np.array(layout.read_volume(source)))
    return folder


def write_knee(folder: Path, planes=PLANES, **changes) -> Path:
    rng = np.random.default_rng(0)
    for plane in planes:
        volume = planted_volume({"abnormal": 1, "acl": 0, "meniscus": 1}, 6, rng, 64)
        write_series(
            folder, plane, 6, lambda index, v=volume: v[index].astype(np.uint16), **changes
        )
    return folder


def reading_of(folder: Path, chosen: models.Models):
    return read(arrive(folder, "it", SIZE), chosen)


def run_read(*words: object) -> int:
    return main(["read", *map(str, words)])


def test_networks_come_back_as_they_were_within_their_half_precision(finished, chosen):
    model = chosen.first.model
    assert [member.name for member in chosen.members] == [f"{ARCHITECTURE} {s}" for s in (0, 1)]
    assert {check["weights"] for check in model["checks"].values()} == {"half"}
    assert max(check["auc_moved"] for check in model["checks"].values()) <= 0.01
    back, were = chosen.first.network("axial", "acl"), network_of(0)
    for name, value in were.state_dict().items():
        torch.testing.assert_close(back.state_dict()[name], value, rtol=1e-3, atol=1e-6)
    assert model["settings"]["exams_folder"] is None
    names = {"model.json", "landmarks.json", "test.csv", "training.safetensors", "MODEL_CARD.md"}
    assert names < set(chosen.first.files) and len(chosen.first.files) == len(names) + 1 + 3


def test_no_exam_is_named_in_what_is_carried(finished, chosen):
    test = chosen.first.test
    assert set(test.columns) == {"row", "task", "plane", "label", "probability"}
    kept = read_predictions(finished.results, [ARCHITECTURE], PLANES, TASKS)
    own = kept.query("split == 'test' and seed == 0 and plane == 'axial' and task == 'acl'")
    found = test.query("plane == 'axial' and task == 'acl'")
    np.testing.assert_allclose(
        np.sort(found["probability"]), np.sort(own["probability"]), atol=2e-3
    )
    assert list(found["label"]) != list(own["label"])  # in an order that tells nothing


def test_the_card_is_written_from_results(finished, chosen):
    card = (chosen.first.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "0.62 (0.38 to 0.88)" in card and "Squares in noise" in card and "12 exams" in card
    assert "not a medical device" in card and "synthetic" not in card


def test_a_test_exam_is_read_as_it_was_tested(finished, chosen, tmp_path):
    found = reading_of(write_arrays(finished, tmp_path), chosen)
    kept = read_predictions(finished.results, [ARCHITECTURE], PLANES, TASKS)
    kept = kept[kept["exam"] == "0019"].set_index(["task", "plane", "seed"])["probability"]
    for task, said in found.probabilities.items():
        for plane in PLANES:
            for seed in (0, 1):
                own = said[plane].members[f"{ARCHITECTURE} {seed}"]
                assert own == pytest.approx(kept[task, plane, seed], abs=2e-3)
            mean = np.mean(list(said[plane].members.values()))
            assert said[plane].value == pytest.approx(mean)
        for member in chosen.members:
            regression = member.model["fusion"][task]["axial+coronal+sagittal"]
            parts = [regression[plane] * said[plane].members[member.name] for plane in PLANES]
            fused = expit(regression["intercept"] + sum(parts))
            assert said["fused"].members[member.name] == pytest.approx(fused)
        assert set(found.fused[task]) == {"intercept", *PLANES}
    assert found.exam == "it" and list(found.planes) == list(PLANES)
    assert set(found.models) == {
        f"{ARCHITECTURE}/{seed}/{name}" for seed in (0, 1) for name in chosen.first.files
    }


def test_the_fusion_of_fewer_planes_is_fitted_on_them(finished, chosen, tmp_path):
    kept = read_predictions(finished.results, [ARCHITECTURE], PLANES, TASKS)
    own = kept.query("task == 'acl' and seed == 1")
    pair = ["axial", "sagittal"]
    regression = fusion.fit(fusion.by_plane(own, pair))
    assert chosen.members[1].model["fusion"]["acl"]["axial+sagittal"] == pytest.approx(
        fusion.coefficients(regression, pair)
    )
    found = reading_of(write_arrays(finished, tmp_path, planes=pair), chosen)
    assert set(found.fused["acl"]) == {"intercept", *pair}
    assert any("no coronal plane" in warning for warning in found.warnings)


def test_of_one_plane_its_own_probability_is_told_and_said_to_be_that(finished, chosen, tmp_path):
    found = reading_of(write_arrays(finished, tmp_path, planes=["coronal"]), chosen)
    said = found.probabilities["acl"]
    assert said["fused"].value == said["coronal"].value and set(said) == {
        "fused", "coronal", "wording"
    }  # fmt: skip
    assert any("from the coronal plane alone" in warning for warning in found.warnings)


def test_what_is_said_of_a_probability_is_counted_on_the_test_exams():
    scores, labels = np.linspace(0, 0.99, 100), np.repeat([0, 1], 50)
    one, reached = support.estimate({"a": 0.4, "b": 0.6}, labels, scores)
    assert one.value == 0.5 and (one.found, one.scored) == (10, 20)
    assert one.low < 0.5 < one.high and reached == "0.40 to 0.59"
    said = support.wording("acl", one, reached, "toys")
    assert "Of the 20 test exams" in said and "10 had an ACL tear" in said and "toys" in said
    beyond, reached = support.estimate({"a": 1.0}, labels, scores)
    assert beyond.found == 20 and reached.endswith("none of all 100 higher")


def test_an_exam_of_the_training_exams_is_not_warned_of(finished, chosen, tmp_path):
    found = reading_of(write_arrays(finished, tmp_path, "0005", split="train"), chosen)
    assert {one.respect for one in found.distances} == {
        "intensity", "slices", "orientation", "features"
    }  # fmt: skip
    assert [one for one in found.distances if one.outside] == []
    assert not any("training exams" in warning for warning in found.warnings)


def test_an_exam_unlike_them_is_warned_of_in_every_respect(finished, chosen, tmp_path):
    rng = np.random.default_rng(1)
    odd = (rng.random((40, SIZE, SIZE)) ** 6 * 65535).astype(np.uint16)
    odd[:, :, 32:] //= 8
    for plane in PLANES:
        files.write_array(tmp_path / f"{plane}.npy", odd)
    found = reading_of(tmp_path, chosen)
    outside = {one.respect for one in found.distances if one.outside}
    assert {"intensity", "slices", "features"} <= outside
    assert any("40 slices" in warning for warning in found.warnings)
    assert any("seen nothing like it" in warning for warning in found.warnings)


def test_distances_are_mahalanobis_in_units_of_exams_left_out():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 30)) * np.linspace(4, 0.5, 30)
    apart = distances.left_out(features)
    assert len(apart) == 200 and (apart > 0).all()
    one = distances.spread(features)
    near, far = one.distance(one.mean), one.distance(one.mean + 9 * features.std(0))
    assert near == 0 and far > apart.max()
    side = distances.Spread(np.zeros(3), np.eye(3)[:1], np.array([4.0]), 1.0, 2.0)
    assert side.distance(np.array([2.0, 0, 0])) == pytest.approx(0.5)
    assert side.distance(np.array([0, 3.0, 4.0])) == pytest.approx(2.5)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_training_exams_make_a_norm(count):
    rng = np.random.default_rng(0)
    exams = [
        distances.Measured(
            4, np.arange(11.0), rng.normal(size=(16, 16)), np.nan, np.nan, rng.normal(size=5)
        )
        for _ in range(count)
    ]
    found = distances.distances(exams[0], "axial", distances.learn(exams))
    assert {one.respect for one in found} == {"intensity", "slices", "orientation", "features"}
    assert np.isfinite([one.value for one in found]).all()


def test_a_turned_exam_is_noticed():
    ramp = np.linspace(0, 200, SIZE)
    image = (ramp[:, None] + 0.3 * ramp).clip(0, 255).astype(np.uint8)
    pictures = [distances.picture(np.stack([image] * 4)) for _ in range(4)]
    rng = np.random.default_rng(0)
    exams = [
        distances.Measured(4, np.arange(11.0), p, np.nan, np.nan, rng.normal(size=5))
        for p in pictures
    ]
    norm = distances.learn(exams)
    assert not distances.turned_otherwise(exams[0], norm)
    upside = exams[0]._replace(picture=distances.picture(np.stack([image[::-1]] * 4)))
    assert distances.turned_otherwise(upside, norm)


def test_the_files_of_a_reading_name_nobody_and_are_all_there(finished, tmp_path, capsys):
    exam = write_knee(
        tmp_path / "exam", PatientName="Roe^Jane", PatientID="MRN-4711",
        StudyDate="20240131", PatientBirthDate="19700102",
    )  # fmt: skip
    out = tmp_path / "out"
    assert run_read(exam, "--models", finished.results, "--out", out) == 0
    said = json.loads((out / "reading.json").read_text(encoding="utf-8"))
    contract = {"exam", "probabilities", "evidence", "warnings", "models", "seconds"}
    assert contract <= set(said) and said["exam"] == "exam-1"
    for task in TASKS:
        assert {"value", "low", "high"} <= set(said["probabilities"][task]["fused"])
        for plane in PLANES:
            one = said["evidence"][task][plane]
            assert one["bias"] + one["sum"] == pytest.approx(one["logit"], rel=1e-5, abs=1e-5)
            assert sum(one["slices"]) == pytest.approx(one["sum"])
    for name in ("reading.json", "report.html"):
        text = (out / name).read_text(encoding="utf-8")
        assert not any(word in text for word in ("Roe", "4711", "20240131", "19700102", "2024"))
    assert (out / "dicom" / "report.dcm").is_file()
    assert "1 of 1 exams read" in capsys.readouterr().out
    before = files_in(out)
    assert run_read(exam, "--models", finished.results, "--out", out) == 1
    assert "not empty" in capsys.readouterr().err and files_in(out) == before
    anonymous = tmp_path / "anonymous"
    words = exam, "--models", finished.results, "--out", anonymous, "--anonymous"
    assert run_read(*words) == 0
    assert files_in(anonymous) == ["reading.json", "report.html"]


def test_no_two_readings_share_a_name(finished, tmp_path):
    arrays = write_arrays(finished, tmp_path / "exam-2", planes=["axial"])
    (dicom := tmp_path / "disc").mkdir()
    assert names_of([arrays, dicom], False) == ["exam-1", "exam-2"]
    named = write_arrays(finished, tmp_path / "mine", planes=["axial"])
    assert names_of([named, named, dicom], False) == ["mine", "exam-2", "exam-3"]
    assert names_of([named], True) == ["exam-1"]


def test_many_exams_are_read_and_one_that_cannot_be_does_not_stop_them(finished, tmp_path, capsys):
    good = write_arrays(finished, tmp_path / "good", planes=["axial"])
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "axial.npy").write_bytes(b"\x93NUMPY, cut")
    out = tmp_path / "out"
    words = good, tmp_path / "bad", good, "--models", finished.results, "--out", out
    assert run_read(*words) == 1
    said = capsys.readouterr()
    assert "bad/axial.npy: not a whole .npy" in said.err and "2 of 3 exams read" in said.out
    assert sorted(path.name for path in out.iterdir()) == ["exam-3", "good"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "not found"),
        (lambda folder: folder.mkdir(), "no DICOM images were found"),
        (lambda folder: files.write_text(folder / "a.txt", "x"), "no DICOM images were found"),
        (lambda folder: write_knee(folder, ["axial"], Modality="CT", SOPClassUID=None),
         "not MR but another modality"),
        (lambda folder: files.write_array(folder / "knee.npy", np.zeros((2, 64, 64), np.uint8)),
         "does not say which plane"),
        (lambda folder: files.write_array(folder / "axial.npy", np.zeros((2, 64, 64), np.uint8)),
         "every pixel is 0"),
        (lambda folder: files.write_array(folder / "axial.npy", np.zeros((64, 64), np.uint8)),
         "expected (slices, size, size)"),
    ],
)  # fmt: skip
def test_what_is_no_exam_is_refused_by_name(finished, tmp_path, capsys, make, words):
    exam = tmp_path / "exam"
    make(exam)
    out = tmp_path / "out"
    assert run_read(exam, "--models", finished.results, "--out", out) == 1
    said = capsys.readouterr().err
    assert words in said and "exam" in said and not out.exists()


def test_a_damaged_series_is_a_warning_and_a_single_slice_too(finished, chosen, tmp_path):
    write_knee(tmp_path, ["axial"])
    save(dataset(np.random.default_rng(0).integers(1, 99, (64, 64)).astype(np.uint16), "coronal"),
         tmp_path / "single.dcm")  # fmt: skip
    write_knee(tmp_path, ["sagittal"], Rows=99)
    found = reading_of(tmp_path, chosen)
    assert list(found.planes) == ["axial", "coronal"]
    assert any("single slice" in warning for warning in found.warnings)
    assert any("agittal series" in warning for warning in found.warnings)


def save_training(study, name: str, network, rows: list[dict]) -> None:
    """The checkpoint of a training that is finished."""
    content = {"identity": {}, "network": {}, "optimizer": None, "rows": rows}
    content["best"] = network.state_dict()
    save_tensors(study.data / "checkpoints" / name, content)


def reseal(folder: Path, **changes) -> None:
    """Change what a member's model.json says, and make its manifest fit."""
    model = files.read_json(folder / "model.json")
    files.write_json(folder / "model.json", model | changes)
    models.seal(folder)


def test_parts_that_do_not_belong_together_are_refused(copy, finished):
    first, second = (copy / ARCHITECTURE / seed for seed in ("0", "1"))
    reseal(second, image_size=96)
    with pytest.raises(InputError, match=r"another image size .*96 instead of 64"):
        models.load(copy)
    reseal(second, image_size=SIZE, study="other")
    with pytest.raises(InputError, match=r'another study .*"other" instead of "own"'):
        models.load(copy)
    assert len(models.load(first).members) == 1
    name = "axial_acl.safetensors"
    shutil.copyfile(first / "coronal_acl.safetensors", first / name)
    with pytest.raises(InputError, match=rf"0.{name}: is missing, or not the file that"):
        models.load(first)
    (first / name).unlink()
    with pytest.raises(InputError, match="is missing"):
        models.load(first)
    files.write_json(first / "manifest.json", {"form": 99, "files": {}})
    with pytest.raises(InputError, match="not of form 1"):
        models.load(first)
    with pytest.raises(InputError, match="holds no trained networks"):
        models.load(finished.banks)
    with pytest.raises(InputError, match="no networks of alexnet"):
        models.load(finished.results, ["alexnet"])


def test_weights_of_another_architecture_are_refused(copy):
    path = copy / ARCHITECTURE / "0" / "axial_acl.safetensors"
    with pytest.raises(InputError, match="holds no network of AlexNet"):
        models.load_network(path, "alexnet")


def test_a_checkpoint_of_another_training_is_not_exported(finished, tmp_path):
    root = shutil.copytree(finished.root, tmp_path / "root")
    study = studies.load("own", root)
    path = study.data / "checkpoints" / f"{ARCHITECTURE}_axial_acl_0.pt"
    save_training(study, path.name, network_of(77), [{"train_loss": 0.25}])
    before = files_in(study.results)
    with pytest.raises(InputError, match="of another training than"):
        export(study, ARCHITECTURE, 0)
    assert files_in(study.results) == before
    with pytest.raises(InputError, match="trains no alexnet"):
        export(study, "alexnet", 0)


def test_models_of_the_first_seed_are_kept_and_compared_by_their_wholeness(finished, tmp_path):
    root = shutil.copytree(finished.root, tmp_path / "root")
    study = studies.load("own", root)
    left = keep.models_left(study)
    assert left and all(name.startswith(f"models/{ARCHITECTURE}/1/") for name in left)
    keep.keep(study)
    kept = study.reference / "models" / ARCHITECTURE
    assert [path.name for path in kept.iterdir()] == ["0"] and len(models.load(kept).members) == 1
    reseal(kept / "0", seed=5)  # another machine's
    rows = {name: verdict for verdict, name, _ in verify.compare(
        study.results, study.reference, study.settings)}  # fmt: skip
    ours = {verdict for name, verdict in rows.items() if name.startswith("models/")}
    assert ours == {"apart"}
    (kept / "0" / "test.csv").write_text("cut", encoding="utf-8")
    rows = {name: verdict for verdict, name, _ in verify.compare(
        study.results, study.reference, study.settings)}  # fmt: skip
    assert rows[f"models/{ARCHITECTURE}/0/manifest.json"] == "outside"
