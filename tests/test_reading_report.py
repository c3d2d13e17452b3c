"""A reading's page: it says the reading's numbers, shows its evidence, and tells nothing else."""

import base64
import io
import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser

import numpy as np
import pytest
from browser import chromium, needs_chromium
from dicom_files import write_study
from PIL import Image
from reading_made import SPOT, estimate, made_plane, made_reading, of_volumes

from mrnetlib.dicom import read_study
from mrnetlib.names import PLANES, TASKS
from mrnetlib.reading import charts, pictures
from mrnetlib.reading.report import page, write_report

#: What could be a person's, planted in the files that a reading comes from.
PERSON = {
    "PatientName": "Meier^Anna",
    "PatientID": "PID-4711",
    "PatientBirthDate": "19610203",
    "StudyDate": "20190405",
    "AccessionNumber": "ACC0815",
    "SeriesDescription": "knee of Frau Meier",
    "InstitutionName": "Klinik Sonnenberg",
}
#: The elements of a page that reach beyond its width.
TOO_WIDE = (
    "[...document.body.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > {})"
    ".map(e => e.outerHTML.slice(0, 80))"
)
#: The pictures of a page that cannot be decoded.
UNDECODED = (
    "Promise.all([...document.images].map(i => (i.loading = 'eager',"
    " i.decode().then(() => 0, () => i.alt || 'one'))))"
    ".then(all => all.filter(Boolean))"
)
VOID = {"meta", "img", "input", "br"}


class Checker(HTMLParser):
    """Collects tags and complains about those that are not closed in their order."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        closed = self.get_starttag_text().endswith("/>")
        if tag not in VOID and not closed:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_study(folder / "study", **PERSON)
    return of_volumes(read_study(folder / "study"))


def picture_of(uri: str) -> np.ndarray:
    head, _, content = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_the_page_is_one_sound_file_that_fetches_nothing(reading, tmp_path):
    path = write_report(reading, tmp_path)
    text = path.read_text(encoding="utf-8")
    checker = Checker(text)
    assert path.name == "report.html" and checker.open == []
    for tag, attributes in checker.tags:
        assert tag not in ("script", "link", "iframe", "object", "form", "a")
        assert tag != "img" or attributes["src"].startswith("data:image/png;base64,")
        assert not any(name.startswith("on") or name == "href" for name in attributes)
    assert "url(" not in text and "://" not in text and "@import" not in text


def test_everything_seen_is_also_said(reading):
    tags = Checker(page(reading)).tags
    pictures_said = [attributes.get("alt") for tag, attributes in tags if tag == "img"]
    charts_said = [attributes.get("aria-label") for tag, attributes in tags if tag == "svg"]
    assert len(pictures_said) > 50 and all(pictures_said)
    assert len(charts_said) > 20 and all(charts_said)
    assert any(said.startswith("ACL tear: probability 0.50") for said in charts_said)


def test_it_says_the_readings_numbers_and_warnings(reading):
    text = page(reading)
    for task in TASKS:
        said = reading.probabilities[task]
        assert f'<p class="big">{said["fused"].value:.2f}</p>' in text
        assert escape(said["wording"]) in text
        for plane in PLANES:
            assert f"{said[plane].value:.2f} from this plane alone" in text
            assert f">{reading.fused[task][plane]:+.2f}</td>" in text
        assert f">{sum(reading.fused[task].values()):+.2f}</td>" in text
    assert escape(reading.warnings[0]) in text.split("What the networks say")[0]
    assert text.count("Research software, not a medical device") == 2
    assert "Trained on: synthetic knees, not patients." in text
    assert "0123abcd" * 8 in text and ", outside</td>" in text
    calm = replace(reading, warnings=[], distances=[])
    assert "No warning" in page(calm) and 'role="alert"' not in page(calm)


def test_it_names_nobody(reading):
    text = page(reading)
    sources = reading.planes["axial"].source.datasets()
    for value in (*PERSON.values(), sources[0].StudyInstanceUID, sources[0].SOPInstanceUID):
        assert value not in text
    for part in ("Meier", "Anna", "Sonnenberg", "1961", "2019"):
        assert part not in re.sub(r'"data:[^"]*"', "", text)


def test_texts_of_files_are_escaped(reading):
    evil = "<script>alert('&')</script>\"><img src=x onerror=y>"
    probabilities = {
        task: {
            **reading.probabilities[task],
            "fused": replace(estimate(0.4), members={evil: 0.1, f"{evil} 2": 0.2}),
            "wording": evil,
        }
        for task in TASKS
    }
    text = page(
        replace(
            reading,
            exam=evil,
            warnings=[evil],
            about={evil: evil, "data": evil},
            models={evil: evil},
            probabilities=probabilities,
            distances=[replace(reading.distances[0], respect=evil, unit=evil, value=float("nan"))],
        )
    )
    checker = Checker(text)
    assert checker.open == []
    assert not {"script"} & {tag for tag, _ in checker.tags}
    assert all(attributes.get("src") != "x" for _, attributes in checker.tags)
    assert text.count(escape(evil)) >= 12


def test_the_evidence_lies_where_it_is_and_shows_its_sign(reading):
    evidence = reading.planes["axial"].evidence["acl"]
    slice_, row, column = SPOT
    step = evidence.size // evidence.shares.shape[1]
    middle = row * step + step // 2, column * step + step // 2
    colours = picture_of(pictures.over(evidence, slice_))
    assert colours.shape == (evidence.size, evidence.size, 4)
    np.testing.assert_array_equal(colours[middle], [*pictures.FOR, round(255 * pictures.OPAQUE)])
    assert (colours[..., 3] > 100).sum() == step * step
    negative = replace(evidence, shares=-evidence.shares)
    assert tuple(picture_of(pictures.over(negative, slice_))[middle][:3]) == pictures.AGAINST
    assert (
        picture_of(pictures.over(replace(evidence, shares=0 * evidence.shares), 0))[..., 3].max()
        == 0
    )
    ends = picture_of(pictures.scale())[0].astype(int)
    assert ends[0, 2] > ends[0, 0] and ends[-1, 0] > ends[-1, 2] and np.ptp(ends[64]) < 10


def test_a_large_exam_stays_small():
    noise = np.random.default_rng(0).integers(0, 256, (61, 512, 512), dtype=np.uint8)
    planes = {plane: made_plane(plane, noise, None) for plane in PLANES}
    assert len(page(made_reading(planes))) < 5_000_000


def test_a_single_plane_is_its_own_fusion(reading):
    alone = {"axial": reading.planes["axial"]}
    text = page(replace(reading, planes=alone, fused={task: {} for task in TASKS}))
    Checker(text)
    assert "Sum</td>" not in text and "Intercept" not in text
    assert f'<td class="number">{reading.probabilities["acl"]["axial"].value:.2f}</td>' in text
    assert "Coronal" not in text


@needs_chromium
def test_a_browser_shows_it_on_a_phone_and_on_a_desk(reading, tmp_path):
    path = write_report(reading, tmp_path)
    with chromium() as tab:
        for width, dark in ((400, False), (400, True), (1200, False)):
            tab.resize(width, dark=dark)
            tab.go(path.as_uri())
            assert tab.run(TOO_WIDE.format(width)) == []
            tab.keep_picture(f"reading_{width}{'_dark' * dark}")
        assert tab.run("document.images.length") > 9 and tab.run(UNDECODED) == []
        tab.run("document.images[0].src = 'data:image/png;base64,AAAA'")
        assert len(tab.run(UNDECODED)) == 1, "a broken picture is seen"
        shown = "getComputedStyle(document.querySelector('.over')).display"
        assert tab.run(shown) != "none"
        tab.run("document.querySelector('#hide').click()")
        assert tab.run(shown) == "none"
        assert {address.partition(":")[0] for address in tab.requests} <= {"file", "data"}
        assert tab.complaints == []


def test_charts_draw_what_they_are_given():
    bars = charts.slice_bars(np.array([1.0, -3.0, 0.0]), [1], "x")
    heights = [float(h) for h in re.findall(r'<rect class="\w+" x.*?height="([\d.]+)"', bars)]
    assert heights == pytest.approx([11, 33, 0], abs=0.1)
    assert bars.count("<circle") == 1 and "the largest is -3.00, of slice 2" in bars
    assert 'class="against"' in charts.share_bar(-0.2, 1.0, "x")
    assert 'class="for"' in charts.share_bar(0.2, 1.0, "x")
    assert 'width="0.0"' in charts.share_bar(0.0, 0.0, "x")
