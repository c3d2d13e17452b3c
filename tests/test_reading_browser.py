"""The slice browser: what it draws, and how it moves in JupyterLab."""

import io
from pathlib import Path

import numpy as np
import pytest
from browser import jupyterlab, needs_chromium
from conftest import write_notebook
from PIL import Image

from mrnetlib.dicom.geometry import Grid
from mrnetlib.names import PLANES
from mrnetlib.reading import browser
from mrnetlib.reading.evidence import Evidence
from mrnetlib.reading.reading import PlaneReading, Reading

X, Y, Z = np.eye(3)

#: Across and down of a plane's slices of an upright knee, and the way from slice to slice.
WAYS = {"axial": (X, Y, Z), "coronal": (X, -Z, Y), "sagittal": (Y, -Z, X)}


class PlantedSource:
    """Five slices of 16 pixels of 2 mm, 8 mm apart, around the patient's origin."""

    def __init__(self, plane):
        across, down, normal = WAYS[plane]
        corner = -15 * (across + down)
        self.found = [Grid(corner + 8 * (n - 2) * normal, across, down, 2.0) for n in range(5)]

    def grids(self):
        return self.found


def planted_reading():
    """A reading of three planes, each slice in a grey of its own, with evidence in slice 3."""
    planes = {}
    for plane in PLANES:
        slices = np.repeat(np.arange(5, dtype=np.uint8) * 40, 16 * 16).reshape(5, 16, 16)
        shares = np.zeros((5, 2, 2), np.float32)
        shares[3, 0, 0] = 1
        found = {"acl": Evidence(1.0, 0.0, shares, 3.5, 8.0, 16)}
        source = PlantedSource(plane)
        planes[plane] = PlaneReading(plane, slices, found, {"acl": [3, 0, 1, 2, 4]}, source)
    return Reading("planted", {"acl": {}}, planes, {}, [], [], {}, {}, 0.0)


def pixels(widget):
    """The picture of an image widget (H, W, 3), as many pixels as the slice has."""
    image = Image.open(io.BytesIO(widget.value)).resize((16, 16), Image.Resampling.NEAREST)
    return np.asarray(image).astype(int)


def test_a_slice_cuts_another_where_the_patient_says():
    axial, coronal, sagittal = (PlantedSource(plane).grids() for plane in PLANES)
    line = browser.crossing(axial[2], coronal[3], 16)
    rows = np.flatnonzero(line.all(axis=1))
    assert set(rows) <= {11, 12} and len(rows) >= 1  # y = 8 mm lies between rows 11 and 12
    columns = np.flatnonzero(browser.crossing(axial[2], sagittal[2], 16).all(axis=0))
    assert set(columns) <= {7, 8} and len(columns) >= 1
    assert not browser.crossing(axial[2], axial[3], 16).any()


def test_planes_start_at_the_telling_slice_and_move_each_others_lines():
    shown = browser.Browser(planted_reading())
    assert {slider.value for slider in shown.sliders.values()} == {3}
    first = pixels(shown.images["axial"])
    orange = first[2, 2]
    assert orange[0] > orange[2], "evidence for the finding is orange"
    shown.sliders["coronal"].value = 0
    moved = pixels(shown.images["axial"])
    rows = np.flatnonzero((first != moved).any(axis=(1, 2)))
    assert len(rows) >= 2, "the line of the coronal slice has left one row for another"
    shown.colours.value = False
    assert pixels(shown.images["axial"])[2, 2].tolist() == [120, 120, 120]
    shown.most_telling()
    assert shown.sliders["coronal"].value == 3


def test_arrays_have_no_lines():
    reading = planted_reading()
    reading.planes["axial"] = PlaneReading(**vars(reading.planes["axial"]) | {"source": None})
    shown = browser.Browser(reading)
    before = shown.images["axial"].value
    shown.sliders["coronal"].value = 0
    assert shown.images["axial"].value == before


TOY = (
    "import sys\nsys.path.insert(0, TESTS)\nfrom test_reading_browser import planted_reading\n"
    "from mrnetlib.reading.browser import Browser\nshown = Browser(planted_reading())\nshown"
)
SLICES = "[...document.querySelectorAll('.noUi-handle')].map(h => +h.ariaValueNow).join()"


@needs_chromium
def test_wheel_and_keys_move_a_plane_in_jupyterlab(tmp_path, monkeypatch):
    here = Path(__file__).resolve().parent
    monkeypatch.setenv("PYTHONPATH", str(here.parent))
    write_notebook(tmp_path, "toy", TOY.replace("TESTS", repr(str(here))))
    with jupyterlab(tmp_path) as lab:
        lab.open("notebooks/toy.ipynb")
        lab.run_all(120)
        page = lab.page
        page.wait_for("document.querySelectorAll('.mrnetlib-plane img').length === 3", 30)
        page.wait_for(f"{SLICES} === '3,3,3'", 20)
        page.run("document.querySelector('.mrnetlib-plane').scrollIntoView()")
        before = page.run("document.querySelectorAll('.mrnetlib-plane img')[1].src")
        place = page.run(
            "(b => [b.x + b.width / 2, b.y + b.height / 2])"
            "(document.querySelector('.mrnetlib-plane img').getBoundingClientRect())"
        )
        where = {"x": place[0], "y": place[1]}
        page.call("Input.dispatchMouseEvent", type="mouseMoved", **where)
        page.call("Input.dispatchMouseEvent", type="mouseWheel", deltaX=0, deltaY=-100, **where)
        page.wait_for(f"{SLICES} === '2,3,3'", 20)
        for kind in ("mousePressed", "mouseReleased"):
            how = {"button": "left", "clickCount": 1}
            page.call("Input.dispatchMouseEvent", type=kind, **how, **where)
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, key="ArrowLeft", code="ArrowLeft")
        page.wait_for(f"{SLICES} === '1,3,3'", 20)
        page.wait_for(f"document.querySelectorAll('.mrnetlib-plane img')[1].src !== {before!r}", 20)
        page.keep_picture("browser")


@pytest.mark.parametrize("plane", PLANES)
def test_the_picture_that_stays_holds_all_slices(plane):
    one = planted_reading().planes[plane]
    sheets = browser.sheets(one, "acl")
    assert sheets.shape == (5, 16, 16, 3) and sheets.dtype == np.uint8
    assert (sheets[1] == 40).all() and (sheets[3, 0, 0] != 120).any()
