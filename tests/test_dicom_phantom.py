"""The digital knee goes out as DICOM and comes in as it was."""

import numpy as np
import pytest

from mrnetlib import phantom
from mrnetlib.dicom import examine, read_study
from mrnetlib.dicom.sources import find
from mrnetlib.exams import intensity
from mrnetlib.phantom.dicom_writer import write_study

LABELS = {"abnormal": 1, "acl": 1, "meniscus": 0}


@pytest.fixture(scope="module", params=["0000", "0003"])
def knee(request, tmp_path_factory):
    """An exam of the digital knee and the folder of its study."""
    folder = tmp_path_factory.mktemp("dicom") / request.param
    exam = phantom.make_exam(request.param, LABELS, phantom.small_protocol(), 5)
    write_study(exam, folder, 5)
    return exam, folder


def test_every_plane_comes_in_as_it_was_made(knee):
    exam, folder = knee
    volumes = read_study(folder)
    assert set(volumes) == set(exam.volumes)
    for plane, volume in volumes.items():
        np.testing.assert_array_equal(volume.pixels, exam.volumes[plane])
        distance = np.linalg.norm(np.subtract(*exam.geometry[plane].positions[1::-1]))
        assert volume.spacing[0] == pytest.approx(distance, abs=0.01)


def test_the_contrasts_are_those_of_mrnet(knee):
    reasons = {row["plane"]: row["reason"] for row in examine(list(find(knee[1]))).rows}
    assert "T2-weighted" in reasons["sagittal"] and "T1-weighted" in reasons["coronal"]
    assert "PD-weighted" in reasons["axial"]


def test_a_lost_file_inside_a_stack_is_an_error_and_said_where(knee):
    files = [file for file in find(knee[1]) if "SAG" in file.path]
    study = examine(files[:3] + files[4:])
    assert not study.volumes and "missing, the first after slice" in study.faults[0]
    gapped = examine(files[:3] + files[4:], allow_gaps=True)
    assert len(gapped.volumes["sagittal"].gaps) == 1
    assert "as --allow-gaps permits" in gapped.rows[0]["reason"]


def test_scanners_of_other_gain_come_to_one_scale(knee):
    volume = read_study(knee[1])["sagittal"].pixels
    landmarks = intensity.learn([volume])
    louder = (volume * 2.5).astype(np.uint16)
    first, second = (intensity.apply(v, landmarks).astype(int) for v in (volume, louder))
    assert abs(first - second).mean() < 1
    assert first.std() > 30
