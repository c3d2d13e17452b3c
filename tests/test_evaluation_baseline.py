"""What brightness alone says, on exams whose lesions are bright or not there at all."""

import numpy as np
import pandas as pd
import pytest

from mrnetlib.evaluation import baseline
from mrnetlib.exams import banks
from mrnetlib.files import InputError
from mrnetlib.names import TASKS

PLANE = "axial"


def write_banks(folder, label, lesion=0, seed=0):
    """Banks of noise, 60 training and 60 test exams; positive ones get a square so bright."""
    generator = np.random.default_rng(seed)
    for split in ("train", "test"):
        truth = label(60)
        volumes = generator.integers(80, 120, (len(truth), 4, 16, 16)).astype(np.uint8)
        volumes[truth == 1, 2, 3:7, 3:7] += np.uint8(lesion)
        rows = pd.DataFrame({"exam": [f"{place:04d}" for place in range(len(truth))]})
        rows = rows.assign(**{f"slices_{PLANE}": 4}, **dict.fromkeys(TASKS, truth))
        banks.write_bank(folder, split, PLANE, rows, volumes)


def alternating(count):
    """As many positive as negative exams."""
    return np.arange(count) % 2


def test_a_bright_lesion_is_found_without_a_network(tmp_path):
    write_banks(tmp_path, alternating, lesion=100)
    table = baseline.measure(tmp_path, [PLANE], ["acl", "meniscus"])
    assert list(table.columns) == ["plane", "task", "auc"]
    assert table[["plane", "task"]].to_numpy().tolist() == [[PLANE, "acl"], [PLANE, "meniscus"]]
    assert (table["auc"] > 0.99).all()


def test_noise_says_nothing(tmp_path):
    found = []
    for seed in range(5):
        write_banks(tmp_path / str(seed), alternating, seed=seed)
        found += list(baseline.measure(tmp_path / str(seed), [PLANE], ["acl"])["auc"])
    assert np.mean(found) == pytest.approx(0.5, abs=0.1)


def test_the_statistics_are_those_of_the_pixels():
    slices = np.random.default_rng(0).integers(0, 256, (3, 20, 20)).astype(np.uint8)
    slices[1] //= 2
    found = dict(zip(baseline.STATISTICS, baseline.brightness(slices), strict=True))
    wanted = {
        "mean": slices.mean(),
        "standard deviation": slices.std(),
        "brightest slice's mean": slices.mean(axis=(1, 2)).max(),
        "share above 200": (slices > 200).mean(),
        "share above 240": (slices > 240).mean(),
    }
    for percentile in baseline.PERCENTILES:
        at = np.percentile(slices, percentile, method="inverted_cdf")
        wanted[f"percentile {percentile:g}"] = at
    of_slices = np.percentile(slices, 99, axis=(1, 2), method="inverted_cdf")
    wanted["brightest slice's percentile 99"] = of_slices.max()
    assert found == pytest.approx(wanted)
    assert len(found) == 10


@pytest.mark.parametrize("split", ["train", "test"])
def test_one_label_only_is_refused_and_the_bank_is_named(tmp_path, split):
    """With all training or all test exams positive there is nothing to fit or to measure."""
    write_banks(tmp_path, alternating)
    write_banks(tmp_path / "ones", lambda count: np.ones(count, int))
    for name in (f"{split}_{PLANE}.npy", f"{split}_{PLANE}.json"):
        (tmp_path / "ones" / name).replace(tmp_path / name)
    with pytest.raises(InputError, match=rf"{split}_{PLANE}.npy: all 60 exams have the label 1"):
        baseline.measure(tmp_path, [PLANE], ["acl"])
