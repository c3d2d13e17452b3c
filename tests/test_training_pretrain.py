from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import slices_of, tiny_network, write_planted, write_planted_banks

from mrnetlib.exams.banks import ExamBank
from mrnetlib.files import InputError, write_array
from mrnetlib.names import PLANES
from mrnetlib.phantom import draw_knee, paint_knee, small_protocol, write_exams
from mrnetlib.phantom.tissues import CODES, Scanner
from mrnetlib.settings import Settings
from mrnetlib.study import Study
from mrnetlib.training import devices, pretrain, tissues
from mrnetlib.training.checkpoints import fingerprint, save_tensors
from mrnetlib.training.networks import check_image_size
from mrnetlib.training.pretrain import HEADS
from mrnetlib.training.starting import starting_backbone
from mrnetlib.training.tissues import GRID, GROUPS, TissueHead


@pytest.fixture(scope="module")
def plane_banks(tmp_path_factory):
    """Training banks whose slices say where they lie: grey value = plane and place.

    The planes' noise differs, so that the plane can be seen; the left border is bright, so that
    the turn can be seen.
    """
    folder = tmp_path_factory.mktemp("banks")
    source = write_planted(folder / "exams", 20, 5)
    for path in source.glob("train/*/*.npy"):
        volume = np.load(path)
        level = 50 * (1 + PLANES.index(path.parent.name))
        for index in range(len(volume)):
            volume[index] = level + 40 * index // max(len(volume) - 1, 1)
        volume[:, :, :3] = 255
        np.save(path, volume)
    write_planted_banks(folder / "banks", source)
    return [ExamBank.open(folder / "banks", "train", plane) for plane in PLANES]


def drawn(banks, count=400, seed=0):
    """A batch of the pretext tasks."""
    return pretrain.draw_pretext(banks, count, torch.Generator().manual_seed(seed))


def test_the_answers_are_those_of_the_slices(plane_banks):
    batch = drawn(plane_banks)
    assert batch.slices.shape == (400, 1, 16, 16)
    grey = batch.slices[:, 0].flatten(1).median(1).values  # not the border
    plane = ((grey - 50) / 50).floor().long()
    assert torch.equal(plane, batch.plane)
    place = (grey - 50 * (1 + plane)) / 40
    assert (place - batch.place).abs().max() < 0.03
    assert {0.0, 1.0} < set(batch.place.tolist())


def test_the_turn_is_where_the_border_went(plane_banks):
    batch = drawn(plane_banks)
    images = batch.slices[:, 0]
    # Counterclockwise, the bright left border goes to the bottom, the right and the top.
    borders = [images[:, :, 0], images[:, -1], images[:, :, -1], images[:, 0]]
    bright = torch.stack([border.median(1).values for border in borders], 1)
    assert torch.equal(bright.argmax(1), batch.turn)
    shares = torch.bincount(batch.turn, minlength=4) / len(batch.turn)
    assert shares[0].item() == pytest.approx(0.625, abs=0.07)
    assert (shares[1:] > 0.08).all()


def test_planes_are_drawn_evenly_whatever_their_slices(plane_banks):
    shares = torch.bincount(drawn(plane_banks, 900).plane, minlength=3) / 900
    assert (shares - 1 / 3).abs().max() < 0.06


def test_the_same_seed_pretrains_to_the_same_bits(plane_banks):
    prints = []
    for seed in (0, 0, 1):
        backbone = tiny_network(batch_norm=True).backbone
        torch.manual_seed(seed + 50)  # what was drawn before does not matter
        settings = Settings(pretrain_slices=192, seed=seed)
        pretrain.pretrain(backbone, plane_banks, settings, progress=False)
        prints.append(fingerprint(backbone))
    assert prints[0] == prints[1] != prints[2]


def test_pretraining_learns_what_can_be_seen(plane_banks, monkeypatch):
    monkeypatch.setattr(pretrain, "BATCH", 40)
    monkeypatch.setattr(pretrain, "LEARNING_RATE", 0.02)
    settings = Settings(pretrain_slices=4000)
    backbone = tiny_network(batch_norm=True).backbone
    history = pretrain.pretrain(backbone, plane_banks, settings, progress=False)
    assert history.columns.tolist() == ["slices", *HEADS]
    assert history["slices"].tolist() == list(range(400, 4001, 400))
    # The planes' grey values are made equal; the turn is still to be seen.
    assert history["turn"].iloc[-1] < history["turn"].iloc[0]
    assert history["place"].iloc[-1] < history["place"].iloc[0]


@pytest.mark.parametrize("slices", [1, 64, 200])
def test_a_short_pretraining_runs_to_its_end(plane_banks, slices):
    settings = Settings(pretrain_slices=slices)
    history = pretrain.pretrain(tiny_network().backbone, plane_banks, settings, progress=False)
    assert isinstance(history, pd.DataFrame)
    assert history["slices"].iloc[-1] == max(1, slices // 64) * 64


ARCHITECTURES = ("alexnet", "resnet18", "googlenet", "densenet121")
LIGAMENT = next(place for place, names in enumerate(GROUPS) if "acl" in names)


def planted_codes(volume):
    """Tissue codes of slices: fat, and an ACL that fills the upper left quarter."""
    codes = np.full(volume.shape, CODES["fat"], np.uint8)
    codes[:, : codes.shape[1] // 2, : codes.shape[2] // 2] = CODES["acl"]
    return codes


def test_every_tissue_that_the_anatomy_paints_has_a_group_of_its_own():
    grouped = [name for names in GROUPS for name in names]
    assert len(set(grouped)) == len(grouped)
    signals = Scanner("Test 3T", 1.0, 0.0, 0.0, (1.0, 1.0, 1.0)).signals()
    painted = set()
    for seed in range(3):
        rng = np.random.default_rng(seed)
        canvas = paint_knee(draw_knee(rng), (-76, -76, -60), (76, 95, 80), 2.0, signals, rng)
        painted |= set(np.unique(canvas.tissue).tolist())
    names = [name for name, code in CODES.items() if code in painted]
    assert len(names) > len(GROUPS)
    assert set(names) <= set(grouped), "what is in no group counts as air"
    table = tissues.group_of_code()
    assert [table[CODES[name]].item() for name in ("air", "acl")] == [0, LIGAMENT]


@pytest.mark.parametrize("size", [16, 24, 64])
def test_shares_of_tissues_add_up_to_one_and_lie_where_they_are(size):
    shares = tissues.shares(planted_codes(np.zeros((70, size, size))))
    assert shares.shape == (70, len(GROUPS), GRID, GRID)
    assert torch.allclose(shares.float().sum(1), torch.ones(70, GRID, GRID), atol=2e-3)
    half = GRID // 2
    expected = torch.zeros(GRID, GRID)
    expected[:half, :half] = 1
    assert torch.allclose(shares[-1, LIGAMENT].float(), expected, atol=2e-3)


def test_rare_tissues_weigh_more():
    shares = tissues.shares(planted_codes(np.zeros((2, 32, 32))))
    weights = tissues.group_weights(shares)
    share = shares.float().mean((0, 2, 3))
    assert weights.shape == (len(GROUPS) + 1,)  # the last one: foreign spots
    order = share.argsort(descending=True)
    assert weights[LIGAMENT] > weights[order[0]]  # a quarter of the slice, three quarters fat


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tissues_are_named_from_the_last_map_of_any_backbone(architecture):
    check_image_size(architecture, 64)
    backbone = starting_backbone(architecture, "none", 0)
    head = TissueHead(backbone, 64)
    backbone.train()
    features = backbone(slices_of(4))
    scores = head()
    assert scores.shape == (4, len(GROUPS) + 1, GRID, GRID)
    scores.square().mean().backward()
    first = next(backbone.parameters())
    assert first.grad is not None and first.grad.abs().sum() > 0
    head.hook.remove()
    head.seen = None
    with torch.no_grad():
        assert backbone(slices_of(4)).shape == features.shape
    assert head.seen is None


def test_the_loss_is_least_for_the_truth():
    truth = tissues.shares(planted_codes(np.zeros((2, 32, 32)))).float()
    weights = torch.ones(len(GROUPS))
    right = tissues.tissue_loss(20 * truth, truth, weights)
    none = tissues.tissue_loss(torch.zeros_like(truth), truth, weights)
    wrong = tissues.tissue_loss(20 * truth.roll(1, 1), truth, weights)
    assert right < 0.01 < none < wrong
    assert none.item() == pytest.approx(np.log(len(GROUPS)), rel=1e-3)


@pytest.fixture(scope="module")
def square_banks(tmp_path_factory):
    """Banks of dark slices with a bright square, and the tissues that say where it is."""
    folder = tmp_path_factory.mktemp("squares")
    source = write_planted(folder / "exams", 8, 5, size=32)
    for path in source.rglob("*.npy"):
        volume = np.full_like(np.load(path), 20)
        codes = planted_codes(volume)
        volume[codes == CODES["acl"]] = 220
        np.save(path, volume)
        write_array(folder / "tissues" / path.parent.name / path.name, codes)
    write_planted_banks(folder / "banks", source)
    banks = [ExamBank.open(folder / "banks", "train", plane) for plane in PLANES]
    return banks, [tissues.read_shares(folder / "tissues", bank) for bank in banks]


def test_slices_and_their_tissues_are_moved_together(square_banks):
    banks, truth = square_banks
    batch = pretrain.draw_pretext(banks, 200, torch.Generator().manual_seed(0), truth)
    assert set(batch.turn.tolist()) == {0, 1, 2, 3}
    assert torch.allclose(batch.tissues.sum(1), torch.ones(200, GRID, GRID), atol=5e-3)
    seen = torch.nn.functional.adaptive_avg_pool2d(batch.slices, GRID)[:, 0]
    bright = ((seen - 20) / 200).clamp(0, 1)
    apart = (bright - batch.tissues[:, LIGAMENT]).abs().flatten(1)
    assert apart.mean() < 0.02
    assert (apart > 0.5).float().mean() < 0.02
    places = {tuple(torch.nonzero(one > 0.9)[0].tolist()) for one in batch.tissues[:, LIGAMENT]}
    assert len(places) > 8, "they are turned and shifted"


class TinyMaps(torch.nn.Sequential):
    """A backbone of one convolution, and an average over its map."""

    def __init__(self):
        super().__init__(
            torch.nn.Conv2d(1, 8, 5, 2, 2),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
        )


def test_pretraining_learns_to_name_tissues(square_banks, monkeypatch):
    monkeypatch.setattr(pretrain, "LEARNING_RATE", 0.02)
    monkeypatch.setattr(pretrain, "count_features", lambda backbone: 8)
    torch.manual_seed(0)
    backbone, (banks, truth) = TinyMaps(), square_banks
    history = pretrain.pretrain(
        backbone, banks, Settings(pretrain_slices=1920), progress=False, tissues=truth
    )
    assert history.columns.tolist() == ["slices", *HEADS, "tissues"]
    assert history["tissues"].iloc[-1] < 0.5 * history["tissues"].iloc[0]
    assert not any(module._forward_hooks for module in backbone.modules())
    assert not any(module._forward_pre_hooks for module in backbone.modules())


SMALL = "shufflenet_v2_x0_5"


@pytest.fixture
def study(tmp_path):
    """A study of planted exams that pretrains a small architecture for two steps."""
    settings = Settings(data="mrnet", weights="pretrained", pretrain_slices=128, device="cpu")
    study = Study("own", replace(settings, exams_folder="planted"), tmp_path)
    write_planted_banks(study.banks, write_planted(tmp_path / "planted", 20, 5, size=32))
    return study


@pytest.fixture
def knees(study):
    """The same as a digital knee's: its tissues are known."""
    for path in study.exams.rglob("*.npy"):
        codes = planted_codes(np.load(path))
        write_array(study.tissues / path.parent.name / path.name, codes)
    return replace(study, settings=replace(study.settings, data="phantom"))


@pytest.fixture
def made(monkeypatch):
    """The settings of every pretraining that is run."""
    calls, pretrain_ = [], pretrain.pretrain

    def spy(backbone, banks, settings, **more):
        calls.append(settings)
        return pretrain_(backbone, banks, settings, **more)

    monkeypatch.setattr(pretrain, "pretrain", spy)
    return calls


def test_pretrained_weights_are_made_once_and_then_read(study, made):
    path = pretrain.prepare_weights(study, SMALL)
    assert path == str(study.weights_file(SMALL))
    started = starting_backbone(SMALL, path)
    plain = starting_backbone(SMALL, "none")
    assert not torch.equal(started.conv5[0].weight, plain.conv5[0].weight)
    table = pd.read_csv(study.results / "pretraining" / f"{SMALL}.csv")
    assert table.columns.tolist() == ["slices", *HEADS], "patients' tissues are not known"
    assert np.isfinite(table.to_numpy()).all()
    assert pretrain.prepare_weights(study, SMALL) == path
    assert len(made) == 1
    pretrain.prepare_weights(study, SMALL, again=True)
    assert len(made) == 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"pretrain_slices": 64}, "pretrain_slices"),
        ({"seed": 1}, "seed"),
        ({"planes": ("axial", "sagittal")}, "planes, exams"),
        ({"planes": ("sagittal",)}, "planes, exams"),
    ],
)
def test_weights_of_other_settings_are_made_anew(study, made, capsys, changes, named):
    pretrain.prepare_weights(study, SMALL)
    other = replace(study, settings=replace(study.settings, **changes))
    path = pretrain.prepare_weights(other, SMALL)
    assert f"{SMALL}.pt: pretrained with another {named}, made anew" in capsys.readouterr().out
    starting_backbone(SMALL, path)
    pretrain.prepare_weights(other, SMALL)
    assert [settings.seed for settings in made] == [0, other.settings.seed]


def test_settings_that_do_not_concern_the_pretraining_leave_the_weights(study, made):
    pretrain.prepare_weights(study, SMALL)
    other = replace(study.settings, epochs=1, flip=0.1, head="probe", description="another")
    pretrain.prepare_weights(replace(study, settings=other), SMALL)
    assert len(made) == 1


def test_weights_of_other_exams_or_code_are_made_anew(study, made, capsys, monkeypatch):
    pretrain.prepare_weights(study, SMALL)
    write_planted_banks(study.banks, write_planted(study.exams, 25, 5, size=32))
    pretrain.prepare_weights(study, SMALL)
    assert "another exams, made anew" in capsys.readouterr().out
    monkeypatch.setattr(pretrain, "CODE", "another")
    pretrain.prepare_weights(study, SMALL)
    assert "another code, made anew" in capsys.readouterr().out
    path = study.weights_file(SMALL)
    save_tensors(path, starting_backbone(SMALL, "none").state_dict())
    pretrain.prepare_weights(study, SMALL)
    assert "does not say what it was pretrained from" in capsys.readouterr().out
    assert len(made) == 4


def test_weights_of_other_arithmetic_are_made_anew(study, made, capsys, monkeypatch):
    study = replace(study, settings=replace(study.settings, precision="auto"))
    pretrain.prepare_weights(study, SMALL)
    has = devices.has_bf16(torch.device("cpu"))
    monkeypatch.setattr(devices, "has_bf16", lambda device: not has)
    pretrain.prepare_weights(study, SMALL)
    assert "another arithmetic, made anew" in capsys.readouterr().out
    assert len(made) == 2


def test_pretraining_looks_at_the_training_exams_only(study, monkeypatch):
    seen = []
    bank_open = ExamBank.open

    def spy(folder, split, plane, **options):
        seen.append((split, plane))
        return bank_open(folder, split, plane, **options)

    monkeypatch.setattr(ExamBank, "open", spy)
    pretrain.prepare_weights(study, SMALL)
    assert seen == [("train", plane) for plane in PLANES]


@pytest.mark.parametrize("weights", ["none", "imagenet"])
def test_other_weights_are_passed_on(tmp_path, weights):
    study = Study("own", Settings(weights=weights), tmp_path)
    assert pretrain.prepare_weights(study, "alexnet") == weights


def test_a_users_file_is_passed_on(tmp_path):
    study = Study("own", Settings(weights="own/{architecture}.pt"), tmp_path)
    assert pretrain.prepare_weights(study, "alexnet") == str(tmp_path / "own" / "alexnet.pt")


@pytest.mark.parametrize(("architecture", "smallest"), [("alexnet", 63), ("googlenet", 15)])
def test_images_that_are_too_small_are_refused_before_anything_is_read(
    tmp_path, architecture, smallest
):
    study = Study("own", Settings(image_size=smallest - 1, weights="pretrained"), tmp_path)
    message = f"image_size is {smallest - 1}, and {architecture} takes {smallest} pixels or more"
    with pytest.raises(InputError, match=message):
        pretrain.prepare_weights(study, architecture)


def test_a_digital_knees_tissues_are_used_and_a_change_makes_the_weights_anew(knees, made, capsys):
    pretrain.prepare_weights(knees, SMALL)
    table = pd.read_csv(knees.results / "pretraining" / f"{SMALL}.csv")
    assert table.columns.tolist() == ["slices", *HEADS, "tissues"]
    pretrain.prepare_weights(knees, SMALL)
    assert len(made) == 1
    exam = ExamBank.open(knees.banks, "train", "coronal").exams[3]
    path = knees.tissues / "coronal" / f"{exam}.npy"
    write_array(path, np.full_like(np.load(path), CODES["muscle"]))
    pretrain.prepare_weights(knees, SMALL)
    assert "pretrained with another tissues, made anew" in capsys.readouterr().out
    assert len(made) == 2


def test_a_folder_within_a_study_takes_the_studys_tissues(knees):
    within = Study("own/choices/not_standardized", knees.settings, knees.root)
    assert within.tissues == knees.tissues == knees.data / "tissues"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (None, "not found, expected an exam's tissues. Run notebook 00_exams again"),
        (lambda codes: codes[1:], "slices, expected .* as in the exam. Remove it and run notebook"),
        (lambda codes: codes * 0 + 200, "tissue code 200, expected at most .* Remove it and run"),
    ],
)
def test_missing_or_wrong_tissues_are_refused_by_name(knees, damage, message):
    exam = ExamBank.open(knees.banks, "train", "axial").exams[0]
    path = knees.tissues / "axial" / f"{exam}.npy"
    codes = np.load(path)
    path.unlink()
    if damage:
        write_array(path, damage(codes))
    with pytest.raises(InputError, match=f"axial.{exam}.npy: .*{message}"):
        pretrain.prepare_weights(knees, SMALL)
    assert not knees.weights_file(SMALL).exists()


def test_a_study_of_digital_knees_pretrains_with_their_tissues(tmp_path):
    settings = Settings(
        data="phantom",
        phantom_format="mrnet",
        weights="pretrained",
        pretrain_slices=64,
        device="cpu",
    )
    study = Study("own", settings, tmp_path)
    slices = dict.fromkeys(PLANES, (3, 3, 4))
    protocol = small_protocol(32, slices=slices)
    write_exams(study.data, 3, 1, protocol, seed=2, format="mrnet", progress=False)
    write_planted_banks(study.banks, study.exams, tune_fraction=0.34)
    pretrain.prepare_weights(study, SMALL)
    table = pd.read_csv(study.results / "pretraining" / f"{SMALL}.csv")
    assert np.isfinite(table["tissues"]).all()
