"""The digital knee: sizes, planted lesions, labels, DICOM, and that a set can be trusted."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pydicom
import pytest

from mrnetlib.files import InputError
from mrnetlib.names import PLANES, TASKS
from mrnetlib.phantom import (
    LESIONS,
    Protocol,
    bones,
    cohort,
    describe_exam,
    draw_knee,
    draw_labels,
    make_exam,
    paint_knee,
    small_protocol,
    write_exams,
)
from mrnetlib.phantom.quality import LEVELS, Quality, draw_quality, moved, unsuppressed_field
from mrnetlib.phantom.scanner import SUPPRESSED, Plan, acquire, image_tissues, project
from mrnetlib.phantom.surgery import Surgeon
from mrnetlib.phantom.tissues import CODES, CONTRASTS, Scanner
from mrnetlib.phantom.variants import CHANCES, SPOTS, Variant, draw_variants

HEALTHY = {"abnormal": 0, "acl": 0, "meniscus": 0}
TINY = small_protocol(32, slices=dict.fromkeys(PLANES, (6, 7, 9)))
SCANNER = Scanner("Test 3T", 1.0, 0.0, 0.0, (1.0, 1.0, 1.0))

#: An open segmentation of a 3D DESS knee: front-back, height, width in mm; volumes in ml.
REAL_KNEE = {
    "patella front-back": 21,
    "patella height": 39,
    "patella width": 42,
    "distal femur front-back": 63,
    "distal femur width": 76,
    "tibial plateau front-back": 51,
    "tibial plateau width": 71,
    "medial meniscus front-back": 42,
    "medial meniscus height": 10,
    "medial meniscus width": 31,
    "lateral meniscus front-back": 33,
    "lateral meniscus height": 12,
    "lateral meniscus width": 30,
    "medial meniscus volume": 2.25,
    "lateral meniscus volume": 2.25,
    "femoral cartilage volume": 11.9,
    "medial tibial cartilage volume": 1.9,
    "lateral tibial cartilage volume": 1.9,
    "patellar cartilage volume": 1.2,
}


def paint(seed, spacing=1.1, low=(-50, -66, -22), high=(50, 44, 66)):
    rng = np.random.default_rng(seed)
    knee = draw_knee(rng)
    return knee, paint_knee(knee, low, high, spacing, SCANNER.signals(), rng)


def measure(knee, canvas):
    """Sizes of the painted knee, to be compared with a real one's.

    Returns
    -------
    dict of extents along knee axes in mm (``... front-back``, ``... height``, ``... width``) and
    volumes in ml. The distal femur is what lies below the cam's axis, the plateau the tibia's
    uppermost 15 mm.
    """
    grid, turn = np.ix_(*canvas.axes), canvas.pose
    x, y, z = (sum(turn[k, i] * grid[k] for k in range(3)) for i in range(3))
    tissue, cell = canvas.tissue, canvas.spacing
    sizes: dict[str, float] = {}

    def extents(name, mask):
        for axis, values in (("width", x), ("front-back", y), ("height", z)):
            sizes[f"{name} {axis}"] = float(np.ptp(values[mask]) + cell)

    def solid(name):
        """Bone with its cortex, out of the distance field kept when it was painted."""
        region, bone = knee.fields[name]
        mask = np.zeros(canvas.shape, dtype=bool)
        mask[region.box] = bone < 0
        return mask

    scale = np.asarray(knee.scale)
    extents("patella", solid("patella"))
    extents("distal femur", solid("femur") & (z < (bones.AXIS_Z + 4) * scale[2]))
    extents("tibial plateau", solid("tibia") & (z > -12 * scale[2]))
    meniscus = tissue == CODES["meniscus"]
    for side, half in (("medial", x > 0), ("lateral", x < 0)):
        extents(f"{side} meniscus", meniscus & half)
        sizes[f"{side} meniscus volume"] = float((meniscus & half).sum() * cell**3 / 1000)
        cartilage = (tissue == CODES["tibial_cartilage"]) & half
        sizes[f"{side} tibial cartilage volume"] = float(cartilage.sum() * cell**3 / 1000)
    for name in ("femoral", "patellar"):
        cartilage = tissue == CODES[f"{name}_cartilage"]
        sizes[f"{name} cartilage volume"] = float(cartilage.sum() * cell**3 / 1000)
    return sizes


def test_sizes_are_those_of_a_real_knee():
    sizes = pd.DataFrame([measure(*paint(seed)) for seed in range(6)])
    ratio = (sizes.mean() / pd.Series(REAL_KNEE)).dropna()
    assert len(ratio) == len(REAL_KNEE)
    assert ratio.between(0.85, 1.15).all(), ratio.round(2).to_dict()


def test_knees_vary_by_about_eight_percent():
    knees = [draw_knee(np.random.default_rng(s)) for s in range(200)]
    scales = np.array([knee.scale for knee in knees])
    assert 0.05 < scales.std(0).mean() < 0.10
    assert 70 < [knee.side for knee in knees].count("L") < 130


def test_left_knee_is_the_mirror_of_the_right():
    _, canvas = paint(3, spacing=2.0, low=(-60, -60, -40), high=(60.5, 60, 60))
    centres = np.linspace(-45, 45, 32)
    for plane in PLANES:
        plan = Plan(plane, np.linspace(-30, 30, 7), centres, centres, 4.0, 90 / 31)
        signal = canvas.signal[CONTRASTS[plane]]
        right, left = (project(signal, canvas.axes, plan, m) for m in (False, True))
        np.testing.assert_allclose(left, mirrored(right, plane), atol=1e-5)
        assert np.abs(left - right).max() > 0.25
        tissues = [image_tissues(canvas, plan, m) for m in (False, True)]
        # Where a voxel's middle lies between two of the canvas, either may be taken.
        assert (tissues[1] == mirrored(tissues[0], plane)).mean() > 0.97
        assert (tissues[1] == tissues[0]).mean() < 0.9


def mirrored(volume, plane):
    """A series of the other knee: slices or columns run the other way."""
    return volume[::-1] if plane == "sagittal" else volume[:, :, ::-1]


def test_tissues_lie_where_the_signal_is():
    _, canvas = paint(5, spacing=1.5, low=(-60, -60, -40), high=(60, 60, 60))
    centres = np.linspace(-40, 40, 40)
    for plane in PLANES:
        plan = Plan(plane, np.linspace(-25, 25, 6), centres, centres, 1.5, 2.0)
        signal = project(canvas.signal[CONTRASTS[plane]], canvas.axes, plan, mirror=False)
        tissues = image_tissues(canvas, plan, mirror=False)
        assert tissues.shape == signal.shape and tissues.dtype == np.uint8
        expected = SCANNER.signals()[tissues, CONTRASTS[plane]]
        assert np.corrcoef(signal.ravel(), expected.ravel())[0, 1] > 0.7
        beyond = replace(plan, rows=centres + 500)
        assert not image_tissues(canvas, beyond, mirror=False).any()


def streams(count):
    """Random streams of `count` exams."""
    return [cohort._generators(3, f"{exam:04d}") for exam in range(count)]


def test_every_series_draws_its_own_quality():
    """Labels cannot play a part: a quality is drawn from nothing but its own stream."""
    drawn = [{p: draw_quality(s[f"quality of {p}"]) for p in PLANES} for s in streams(600)]
    motion = pd.DataFrame([{p: one[p].motion for p in PLANES} for one in drawn])
    noise = pd.DataFrame([{p: one[p].noise for p in PLANES} for one in drawn])
    for table in (motion, noise):
        apart = table.corr().to_numpy()[np.triu_indices(3, 1)]
        assert np.abs(apart).max() < 4 / np.sqrt(len(drawn))
    for level, (chance, factor, _) in LEVELS.items():
        of_level = [q for one in drawn for q in one.values() if q.level == level]
        assert len(of_level) / (3 * len(drawn)) == pytest.approx(chance, abs=0.05)
        assert np.median([q.noise for q in of_level]) == pytest.approx(factor, rel=0.1)
    assert sum(chance for chance, *_ in LEVELS.values()) == pytest.approx(1)


def test_variants_are_drawn_as_often_as_said():
    assert set(CHANCES) == set(SPOTS)
    drawn = [[v.kind for v in draw_variants(s["variants"])] for s in streams(600)]
    for kind, chance in CHANCES.items():
        assert np.mean([kind in one for one in drawn]) == pytest.approx(chance, abs=0.08), kind


def test_a_variant_changes_the_signal_and_neither_anatomy_nor_masks():
    knee, canvas = paint(2, spacing=2.0, low=(-60, -66, -60), high=(60, 60, 90))
    surgeon, tissue = Surgeon(canvas, knee, 1.5), canvas.tissue.copy()
    for kind in CHANCES:
        before = canvas.signal.copy()
        surgeon.variant(Variant(kind, 0.9, (0.2, 0.1, -0.1)))
        assert np.abs(canvas.signal - before).max() > 0.05, kind
    np.testing.assert_array_equal(canvas.tissue, tissue)
    assert surgeon.share_maps() == {}


STILL = Quality("clean", 1.0, 0.0, 0.2, True, 0.0, (0.5, 0.5, 0.5, 0.3))


@pytest.mark.parametrize("along_rows", [True, False])
def test_ghosts_lie_along_the_phase_direction(along_rows):
    images = np.zeros((2, 50, 50), np.float32)
    images[:, 20:30, 20:30] = 1
    np.testing.assert_array_equal(moved(images, STILL), images)
    quality = replace(STILL, motion=1.0, phase_along_rows=along_rows)
    seen = moved(images, quality)
    assert seen.mean() == pytest.approx(images.mean(), rel=0.01)
    rows, columns = (seen[0].sum(axis) > 1e-6 for axis in (1, 0))
    along, across = (rows, columns) if along_rows else (columns, rows)
    assert across.nonzero()[0].tolist() == list(range(20, 30))
    step = round(quality.ghost * 50)
    assert along.nonzero()[0].tolist() == list(range(20 - step, 30 + step))


@pytest.mark.parametrize("plane", PLANES)
def test_fat_stays_bright_in_fat_suppressed_series_only(plane):
    _, canvas = paint(4, spacing=2.0, low=(-60, -60, -40), high=(60, 60, 60))
    centres = np.linspace(-45, 45, 32)
    plan = Plan(plane, np.linspace(-30, 30, 5), centres, centres, 4.0, 90 / 31)
    scanner = replace(SCANNER, gain=1000.0)
    failed = replace(STILL, unsuppressed=1.0)
    well, ill = (
        acquire(canvas, plan, scanner, False, quality, np.random.default_rng(0)).astype(float)
        for quality in (STILL, failed)
    )
    if plane not in SUPPRESSED:
        np.testing.assert_array_equal(ill, well)
        return
    field = unsuppressed_field(failed, ill.shape)
    tissues = image_tissues(canvas, plan, False)
    fat = np.isin(tissues, [CODES[name] for name in ("fat", "femur", "tibia")])
    change = ill - well
    assert change[fat & (field > 0.5)].mean() > 150
    muscle = tissues == CODES["muscle"]
    assert np.abs(change[muscle & (field < 0.05)]).mean() < 15


def test_label_counts_are_those_of_mrnet():
    table = draw_labels(1130, 120, seed=1)
    train, test = (table[table["split"] == s] for s in ("train", "test"))
    assert train[[*TASKS]].sum().tolist() == [913, 208, 397]
    assert test[[*TASKS]].sum().tolist() == [95, 54, 52]
    assert int((train["acl"] & train["meniscus"]).sum()) == 125
    assert table["exam"].tolist() == [f"{i:04d}" for i in range(1250)]
    assert test["exam"].iloc[0] == "1130"


def test_small_label_counts_are_apportioned():
    table = draw_labels(100, 40, seed=1)
    train, test = (table[table["split"] == s] for s in ("train", "test"))
    # 100 of MRNet's 217, 433, 272, 83 and 125 of 1,130: 19.20, 38.32, 24.07, 7.35 (the largest
    # remainder) and 11.06
    assert train[[*TASKS]].sum().tolist() == [81, 8 + 11, 24 + 11]
    assert len(test) == 40
    assert (table["abnormal"] >= table[["acl", "meniscus"]].max(axis=1)).all()
    other = draw_labels(100, 40, seed=2)
    assert (other[[*TASKS]].sum() == table[[*TASKS]].sum()).all()
    assert not other.equals(table)


@pytest.fixture(scope="module")
def healthy():
    return {seed: make_exam("0007", HEALTHY, TINY, seed) for seed in range(2)}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("labels", "kinds"),
    [
        ({"abnormal": 1, "acl": 1, "meniscus": 0}, {"ACL tear"}),
        ({"abnormal": 1, "acl": 0, "meniscus": 1}, {"meniscus tear"}),
        ({"abnormal": 1, "acl": 0, "meniscus": 0}, set()),
    ],
)
def test_lesions_are_where_the_masks_say(healthy, labels, kinds, seed):
    sick, well = make_exam("0007", labels, TINY, seed), healthy[seed]
    _, lesions = describe_exam("0007", labels, TINY, seed)
    assert [str(lesion) for lesion in lesions] == sick.findings
    assert kinds <= {lesion.kind for lesion in lesions}
    codes = {LESIONS[lesion.kind] for lesion in lesions}
    seen = set()
    inside, outside = [], []
    for plane in PLANES:
        mask = sick.lesions[plane]
        assert mask.shape == sick.volumes[plane].shape == well.volumes[plane].shape
        seen |= set(np.unique(mask)) - {0}
        change = np.abs(sick.volumes[plane].astype(float) - well.volumes[plane])
        inside.append(change[mask > 0])
        outside.append(change[mask == 0])
    assert seen
    assert seen <= codes
    assert {LESIONS[kind] for kind in kinds} <= seen
    assert np.concatenate(inside).mean() > 8 * np.concatenate(outside).mean()


def test_healthy_exams_have_no_lesion_though_they_have_variants(healthy, monkeypatch):
    every = [Variant(kind, 0.9, (0.2, 0.1, -0.1)) for kind in CHANCES]
    monkeypatch.setattr(cohort, "draw_variants", lambda rng: every)
    varied = make_exam("0007", HEALTHY, TINY, 0)
    for exam in (*healthy.values(), varied):
        assert exam.findings == []
        assert all(not mask.any() for mask in exam.lesions.values())
    monkeypatch.setattr(cohort, "draw_variants", lambda rng: [])
    plain = make_exam("0007", HEALTHY, TINY, 0)
    for plane in PLANES:
        assert (varied.volumes[plane] != plain.volumes[plane]).any()
        np.testing.assert_array_equal(varied.tissues[plane], plain.tissues[plane])


def test_other_labels_leave_knee_variants_and_qualities(healthy, monkeypatch):
    seen = []
    for name in ("draw_knee", "draw_variants", "draw_quality"):
        draw = getattr(cohort, name)

        def spy(rng, draw=draw):
            seen.append(draw(rng))
            return seen[-1]

        monkeypatch.setattr(cohort, name, spy)
    sick = make_exam("0007", {"abnormal": 1, "acl": 1, "meniscus": 1}, TINY, 0)
    of_sick, seen = seen[:], seen[:0]
    well = healthy[0]
    for plane in PLANES:
        np.testing.assert_array_equal(sick.tissues[plane], well.tissues[plane])
        np.testing.assert_array_equal(
            sick.geometry[plane].positions, well.geometry[plane].positions
        )
    rngs = cohort._generators(0, "0007")
    assert str(of_sick[0]) == str(draw_knee(rngs["knee"]))
    assert of_sick[1] == draw_variants(rngs["variants"])
    assert of_sick[2:] == [draw_quality(rngs[f"quality of {plane}"]) for plane in PLANES]
    assert (sick.side, sick.scanner) == (well.side, well.scanner)


def test_severity_makes_lesions_larger():
    labels = {"abnormal": 1, "acl": 1, "meniscus": 1}
    sizes = []
    for severity in (0.3, 1.5):
        protocol = small_protocol(32, slices=TINY.slices, severity=severity)
        masks = make_exam("0001", labels, protocol, 4).lesions
        sizes.append(sum(int((mask > 0).sum()) for mask in masks.values()))
    assert sizes[1] > 1.3 * sizes[0]


def test_small_protocol_cuts_ligaments_and_menisci_closest():
    plans = [cohort.draw_plans(small_protocol(), np.random.default_rng(seed)) for seed in range(40)]
    apart = {p: np.mean([np.diff(plan[p].slices).mean() for plan in plans]) for p in PLANES}
    assert apart["sagittal"] < apart["coronal"] < apart["axial"]
    assert all(plan[p].thickness < np.diff(plan[p].slices).min() for plan in plans for p in PLANES)


def test_slice_counts_are_those_of_mrnet():
    rng = np.random.default_rng(0)
    counts = pd.DataFrame(
        [
            {p: len(plan.slices) for p, plan in cohort.draw_plans(Protocol(), rng).items()}
            for _ in range(400)
        ]
    )
    assert (counts.min() >= [19, 17, 17]).all()
    assert (counts.max() <= [61, 58, 51]).all()
    assert (counts.median() - [35, 30, 30]).abs().max() <= 1


def files_of(folder):
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    table = write_exams(folder, 3, 1, TINY, seed=5, progress=False)
    return folder, table


def test_workers_and_resuming_give_the_same_bytes(studies, tmp_path):
    first = files_of(studies[0])
    write_exams(tmp_path, 3, 1, TINY, seed=5, workers=2, progress=False)
    assert files_of(tmp_path) == first
    kept = tmp_path / "dicom" / "0000"
    lost = tmp_path / "dicom" / "0002"
    before = {p: p.stat().st_mtime_ns for p in kept.rglob("*.dcm")}
    for path in lost.rglob("*.dcm"):
        path.unlink()
    for path in sorted(lost.rglob("*"), reverse=True):
        path.rmdir()
    lost.rmdir()
    write_exams(tmp_path, 3, 1, TINY, seed=5, progress=False)
    assert files_of(tmp_path) == first
    assert before == {p: p.stat().st_mtime_ns for p in kept.rglob("*.dcm")}


@pytest.mark.parametrize("of", ["lesions", "tissues"])
def test_a_lost_mask_comes_back_and_the_study_stays(studies, of):
    folder, first = studies[0], files_of(studies[0])
    lost = folder / of / "coronal" / "0001.npy"
    lost.unlink()
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.dcm")}
    write_exams(folder, 3, 1, TINY, seed=5, progress=False)
    assert files_of(folder) == first
    assert before == {p: p.stat().st_mtime_ns for p in folder.rglob("*.dcm")}


def test_findings_say_what_is_seen_and_what_misleads(studies):
    folder, table = studies
    found = pd.read_csv(folder / "lesions" / "findings.csv", dtype=str, keep_default_na=False)
    assert found.columns.tolist() == ["exam", "side", "findings", "variants", *PLANES]
    assert found["exam"].tolist() == table["exam"].tolist()
    for row, abnormal in zip(found.itertuples(), table["abnormal"], strict=True):
        assert bool(row.findings) == bool(abnormal)
        rngs = cohort._generators(5, row.exam)
        assert row.variants == "; ".join(v.kind for v in draw_variants(rngs["variants"]))
        for plane in PLANES:
            assert getattr(row, plane) == draw_quality(rngs[f"quality of {plane}"]).level


def test_exams_made_otherwise_are_made_again(studies, tmp_path, monkeypatch, capsys):
    first = files_of(studies[0])
    write_exams(tmp_path, 3, 1, TINY, seed=6, progress=False)
    assert files_of(tmp_path) != first and not capsys.readouterr().out
    write_exams(tmp_path, 3, 1, TINY, seed=5, progress=False)
    assert files_of(tmp_path) == first
    assert "made with another seed, made again" in capsys.readouterr().out
    monkeypatch.setattr("mrnetlib.phantom.writer.code_digest", lambda *_: "another phantom")
    write_exams(tmp_path, 3, 1, TINY, seed=5, progress=False)
    assert "made with another code, made again" in capsys.readouterr().out


def test_exams_of_unknown_origin_are_not_touched(tmp_path):
    (tmp_path / "dicom" / "mine").mkdir(parents=True)
    with pytest.raises(InputError, match=r"dicom: is there, but phantom\.json.*Move it away"):
        write_exams(tmp_path, 3, 1, TINY, seed=5, progress=False)
    assert (tmp_path / "dicom" / "mine").is_dir()


def test_bad_settings_are_refused(tmp_path):
    with pytest.raises(InputError, match="severity"):
        Protocol(severity=0)
    with pytest.raises(InputError, match="axial"):
        Protocol(slices={"axial": (1, 2, 3)})
    with pytest.raises(InputError, match="nifti"):
        write_exams(tmp_path, 1, 1, TINY, 1, format="nifti")


def test_dicom_is_valid_and_consistent(studies):
    folder, table = studies
    labels = pd.read_csv(folder / "dicom" / "labels.csv", dtype={"exam": str})
    assert labels.equals(table.astype(labels.dtypes))
    instances = []
    for row in table.itertuples():
        made = make_exam(row.exam, {t: getattr(row, t) for t in TASKS}, TINY, 5)
        series = sorted((folder / "dicom" / row.exam).iterdir())
        studies_seen, frames, series_seen = set(), set(), set()
        for part, plane in zip(series, PLANES, strict=True):
            images = [pydicom.dcmread(p) for p in sorted(part.iterdir())]
            axis = {"sagittal": 0, "coronal": 1, "axial": 2}[plane]
            images.sort(key=lambda d, axis=axis: d.ImagePositionPatient[axis])
            check_series(images, made.geometry[plane])
            volume = np.stack([d.pixel_array for d in images])
            np.testing.assert_array_equal(volume, made.volumes[plane])
            mask = np.load(folder / "lesions" / plane / f"{row.exam}.npy", allow_pickle=False)
            np.testing.assert_array_equal(mask, made.lesions[plane])
            assert mask.dtype == np.uint8
            tissues = np.load(folder / "tissues" / plane / f"{row.exam}.npy", allow_pickle=False)
            np.testing.assert_array_equal(tissues, made.tissues[plane])
            assert tissues.dtype == np.uint8 and tissues.shape == volume.shape
            instances += [d.SOPInstanceUID for d in images]
            studies_seen |= {d.StudyInstanceUID for d in images}
            frames |= {d.FrameOfReferenceUID for d in images}
            series_seen |= {d.SeriesInstanceUID for d in images}
        assert len(studies_seen) == len(frames) == 1
        assert len(series_seen) == 3
    assert len(set(instances)) == len(instances)


def check_series(images, geometry):
    """One series: tags, and geometry that follows from them."""
    first = images[0]
    assert first.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert first.SOPClassUID == pydicom.uid.MRImageStorage
    assert (first.BodyPartExamined, first.Modality) == ("KNEE", "MR")
    assert first.Laterality in "LR"
    assert "ynthetic" in first.ImageComments
    assert (first.BitsAllocated, first.PixelRepresentation) == (16, 0)
    assert sorted(d.InstanceNumber for d in images) == list(range(1, len(images) + 1))
    for d in images:
        for element in (d.StudyInstanceUID, d.SeriesInstanceUID, d.SOPInstanceUID):
            assert element.is_valid
        assert d.file_meta.MediaStorageSOPInstanceUID == d.SOPInstanceUID
    row, column = np.array(first.ImageOrientationPatient, dtype=float).reshape(2, 3)
    np.testing.assert_allclose([row @ row, column @ column, row @ column], [1, 1, 0], atol=1e-5)
    positions = np.array([d.ImagePositionPatient for d in images], dtype=float)
    steps = np.diff(positions, axis=0)
    normal = np.cross(row, column)
    np.testing.assert_allclose(np.abs(steps @ normal), float(first.SpacingBetweenSlices), atol=1e-4)
    np.testing.assert_allclose(steps, steps[:1].repeat(len(steps), 0), atol=1e-4)
    np.testing.assert_allclose(np.cross(steps[0], normal), 0, atol=1e-4)
    np.testing.assert_allclose(positions, geometry.positions, atol=1e-5)
    assert float(first.SliceThickness) <= float(first.SpacingBetweenSlices)


def test_mrnet_layout(tmp_path):
    table = write_exams(tmp_path, 2, 1, TINY, seed=9, format="mrnet", progress=False)
    for row in table.itertuples():
        split = "train" if row.split == "train" else "valid"
        for plane in PLANES:
            path = tmp_path / "exams" / split / plane / f"{row.exam}.npy"
            volume = np.load(path, allow_pickle=False)
            assert volume.dtype == np.uint8
            assert volume.shape[1:] == (32, 32)
            assert volume.max() == 255
    lines = (tmp_path / "exams" / "train-acl.csv").read_text().split()
    assert lines == [f"{r.exam},{r.acl}" for r in table.itertuples() if r.split == "train"]
