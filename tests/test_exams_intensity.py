"""Intensity standardization: planted gains disappear; what is undefined elsewhere is defined."""

import numpy as np
import pytest

from mrnetlib.exams import intensity
from mrnetlib.files import InputError

SHAPE = (6, 48, 48)


def knee(seed, gain=1.0, air=0.5, dtype=np.uint16):
    """Tissues of three brightnesses in air that fills a share of the image; (volume, tissue)."""
    rng = np.random.default_rng(seed)
    tissue = np.zeros(SHAPE, int)
    columns = round(SHAPE[2] * (1 - air))
    tissue[:, :, :columns] = rng.choice([1, 2, 3], (*SHAPE[:2], columns), p=[0.25, 0.4, 0.35])
    volume = np.array([4.0, 150.0, 500.0, 900.0])[tissue] * rng.uniform(0.9, 1.1, SHAPE)
    return np.rint(gain * volume).astype(dtype), tissue


def by_the_book(volume, standard, percentiles):
    """Nyul & Udupa with numpy alone, on all voxels."""
    return np.clip(np.interp(volume, percentiles, standard), 0, 255)


def test_gain_and_share_of_air_disappear():
    landmarks = intensity.learn(knee(seed, gain)[0] for seed, gain in enumerate((1, 2, 5, 0.7)))
    levels = []
    for seed, (gain, air) in enumerate([(1, 0.5), (13, 0.2), (0.6, 0.6), (3, 0.9)]):
        volume, tissue = knee(10 + seed, gain, air)
        standardized = intensity.apply(volume, landmarks)
        assert standardized.dtype == np.uint8 and standardized.shape == SHAPE
        levels.append([standardized[tissue == kind].mean() for kind in range(4)])
    levels = np.array(levels)
    assert (levels[:, 0] < 3).all()
    assert np.ptp(levels, axis=0).max() < 12
    assert (np.diff(levels, axis=1) > 0).all() and (np.diff(levels[:, 1:], axis=1) > 80).all()


def test_percentiles_are_numpys():
    rng = np.random.default_rng(0)
    whole = rng.gamma(2, 300, SHAPE)
    for dtype in (np.uint8, np.int16, np.uint16, np.int32, np.int64, np.float32, np.float64):
        volume = (np.minimum(whole / 10, 250) if dtype == np.uint8 else whole).astype(dtype)
        volume = volume - 50 if dtype in (np.int16, np.int32) else volume
        measured = intensity.measure(volume, "all")
        expected = np.percentile(volume.astype(np.float64), intensity.PERCENTILES)
        np.testing.assert_allclose(measured, expected, rtol=1e-6)
        mask = volume > np.median(volume)
        measured = intensity.measure(volume, mask)
        expected = np.percentile(volume[mask].astype(np.float64), intensity.PERCENTILES)
        np.testing.assert_allclose(measured, expected, rtol=1e-6)


def test_the_map_is_nyul_and_udupas_where_that_is_defined():
    rng = np.random.default_rng(1)
    volumes = [rng.gamma(2, scale, SHAPE).astype(np.uint16) + 1 for scale in (200, 300, 700)]
    landmarks = intensity.learn(volumes, "all")
    stretched = []
    for volume in volumes:
        percentiles = np.percentile(volume, intensity.PERCENTILES)
        low, high = percentiles[0], percentiles[-1]
        stretched.append((percentiles - low) / (high - low) * 255)
    np.testing.assert_allclose(landmarks.standard, np.mean(stretched, 0), atol=1e-9)
    for volume in volumes:
        percentiles = np.percentile(volume, intensity.PERCENTILES)
        expected = by_the_book(volume, landmarks.standard, percentiles)
        moved = intensity.map_values(volume, percentiles, landmarks.standard)
        np.testing.assert_allclose(np.clip(moved, 0, 255), expected, atol=0.255)
        out = intensity.apply(volume, landmarks, "all")
        np.testing.assert_array_equal(out, np.rint(np.clip(moved, 0, 255)))


def test_same_as_torchio_where_that_is_defined(tmp_path):
    torchio = pytest.importorskip("torchio", reason="SKIPPED ALOUD: torchio is not installed")
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    volumes = [rng.gamma(2, scale, SHAPE).astype(np.float32) + 5 for scale in (200, 300, 700)]
    paths = []
    for number, volume in enumerate(volumes):
        path = tmp_path / f"{number}.nii"
        torchio.ScalarImage(tensor=torch.from_numpy(volume[None])).save(path)
        paths.append(path)
    theirs = torchio.HistogramStandardization.train(paths, progress=False)
    ours = intensity.learn(volumes, "all")
    kept = [0, 1, 2, 4, 5, 6, 7, 8, 10, 11, 12]  # theirs holds quartiles too
    np.testing.assert_allclose(np.array(ours.standard) / 255, theirs[kept] / 100, atol=1e-4)
    transform = torchio.HistogramStandardization({"image": theirs})
    subject = torchio.Subject(image=torchio.ScalarImage(tensor=torch.from_numpy(volumes[1][None])))
    expected = transform(subject).image.data.numpy()[0] / 100
    percentiles = intensity.measure(volumes[1], "all")
    moved = intensity.map_values(volumes[1], percentiles, ours.standard) / 255
    assert np.abs(moved - expected).max() < 1e-3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_defined_for_awkward_volumes(dtype):
    landmarks = intensity.learn([knee(0)[0]])
    mostly_air, tissue = knee(1, 0.25, 0.9, dtype)
    out = intensity.apply(mostly_air, landmarks)
    assert out[tissue == 0].max() < 30 and out[tissue == 3].mean() > 200
    assert intensity.apply(mostly_air[:1], landmarks).shape == (1, *SHAPE[1:])
    for constant in (0, 7):
        assert not intensity.apply(np.full(SHAPE, constant, dtype), landmarks).any()
    one_voxel = np.zeros(SHAPE, dtype)
    one_voxel[0, 0, 0] = 100
    assert intensity.apply(one_voxel, landmarks).dtype == np.uint8
    two_levels = np.where(tissue > 0, 90, 10).astype(dtype)
    out = intensity.apply(two_levels, landmarks)
    assert out[two_levels == 10].max() == 0 and np.isfinite(intensity.measure(two_levels)).all()


def test_integers_and_reals_are_mapped_alike():
    landmarks = intensity.learn([knee(0)[0]])
    volume = knee(5)[0]
    expected = intensity.apply(volume, landmarks)
    for other in (volume.astype(np.float64), volume.astype(np.int32), volume.astype(">u2")):
        np.testing.assert_array_equal(intensity.apply(other, landmarks), expected)
    np.testing.assert_array_equal(
        intensity.apply(volume[:, ::-1, ::-1], landmarks)[:, ::-1, ::-1], expected
    )
    shifted = volume.astype(np.int16) - 1000
    np.testing.assert_array_equal(intensity.apply(shifted, landmarks), expected)
    wide = volume.astype(np.int64) * 1000
    np.testing.assert_allclose(intensity.apply(wide, landmarks), expected, atol=1)


def test_mapping_never_turns_the_order_of_grey_values():
    landmarks = intensity.learn([knee(seed)[0] for seed in range(3)])
    volume = knee(8, 2.5)[0]
    values = np.unique(volume)
    out = intensity.apply(volume, landmarks)
    means = [out[volume == value].mean() for value in values]
    assert (np.diff(means) >= 0).all()


def test_constant_exams_are_left_out_of_learning():
    sound = knee(0)[0]
    flat = np.full(SHAPE, 9, np.uint16)
    assert intensity.learn([flat, sound]) == intensity.learn([sound])
    with pytest.raises(InputError, match="no landmarks can be learned"):
        intensity.learn([flat])


def test_saved_landmarks_are_read_back_and_checked(tmp_path):
    landmarks = {
        plane: intensity.learn([knee(n)[0]]) for n, plane in enumerate(("axial", "coronal"))
    }
    path = tmp_path / "landmarks.json"
    intensity.save(path, landmarks)
    assert intensity.load(path) == landmarks
    path.write_text(path.read_text().replace("255.0", "-3"))
    with pytest.raises(InputError, match="not a landmarks file"):
        intensity.load(path)


@pytest.mark.parametrize(
    "volume", [np.zeros((4, 4)), np.zeros((0, 4, 4)), np.full((2, 4, 4), np.nan), np.array(["a"])]
)
def test_no_volume(volume):
    with pytest.raises(InputError, match="expected"):
        intensity.measure(volume)
