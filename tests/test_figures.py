"""Figures: what they show is what they were given, and drawing leaves no state behind."""

import matplotlib.pyplot
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from mrnetlib import figures
from mrnetlib.evaluation.rows import ALL
from mrnetlib.figures.exams import choose_slices
from mrnetlib.figures.style import PLANE_COLOURS, StudyFigure, new_figure
from mrnetlib.names import ARCHITECTURES, PLANES, TASKS, architecture_title

CAPTION = "study tiny: made-up numbers"


@pytest.fixture
def volume():
    return np.random.default_rng(0).integers(0, 256, (20, 32, 32)).astype(np.uint8)


@pytest.fixture
def fused():
    """Multi-view predictions in which every exam is right but the first positive one."""
    label = np.array([0, 0, 0, 1, 1])
    rows = {"exam": list("abcde"), "split": "test", "label": label}
    tables = [
        pd.DataFrame(
            rows | {"architecture": a, "task": t, "probability": [0.1, 0.2, 0.3, 0.4, 0.9]}
        )
        for a in ARCHITECTURES
        for t in TASKS
    ]
    return pd.concat([*tables, tables[0].assign(split="train", probability=0.0)])


@pytest.fixture
def predictions(fused):
    return pd.concat([fused.assign(plane=plane, probability=0.5) for plane in PLANES])


@pytest.fixture
def history():
    epochs = {"epoch": [1, 2, 3], "train_loss": [0.6, 0.4, 0.2], "tune_loss": [0.6, 0.3, 0.5]}
    epochs |= {"tune_auc": [0.5, 0.9, 0.8], "seconds": 1.0, "best": [0, 1, 0]}
    return pd.concat(
        [pd.DataFrame(epochs).assign(plane=plane, task=task) for plane in PLANES for task in TASKS]
    )


def texts(figure):
    """Everything written into a figure."""
    found = figure.findobj(matplotlib.text.Text)
    return [text.get_text() for text in found if text.get_text()]


def panels(figure):
    return [axes for axes in figure.axes if axes.axison]


def test_choose_slices_shows_the_largest_lesion():
    lesion = np.zeros((40, 8, 8), np.uint8)
    lesion[17, 2:4, 2:4] = 1
    lesion[18, 2:5, 2:5] = 2
    chosen = choose_slices(40, lesion, 6)
    assert 18 in chosen and len(chosen) == 6 and (np.diff(chosen) > 0).all()


@pytest.mark.parametrize("count", [1, 5, 6, 8, 9, 61])
def test_choose_slices_stays_inside(count):
    chosen = choose_slices(count, None, 6)
    assert len(chosen) == min(count, 6) and chosen.min() >= 0 and chosen.max() < count


def test_mosaic_shows_slices_and_outlines_lesions(volume):
    lesion = np.zeros(volume.shape, np.uint8)
    lesion[9, 10:20, 10:20] = 3
    figure = figures.mosaic(volume, lesion, lesion_names={3: "ACL tear"}, slices=6, caption=CAPTION)
    shown = [axes.images[0].get_array() for axes in panels(figure)]
    numbers = [int(axes.texts[0].get_text()) for axes in panels(figure)]
    for number, picture in zip(numbers, shown, strict=True):
        assert np.array_equal(picture, volume[number])
    outlined = [
        number for number, axes in zip(numbers, panels(figure), strict=True) if axes.collections
    ]
    assert outlined == [9]
    assert "ACL tear" in texts(figure) and CAPTION in texts(figure)


def test_exam_has_a_row_per_plane_of_any_depth(volume):
    volumes = {"axial": volume, "coronal": volume[:3], "sagittal": volume.astype(np.uint16) * 9}
    figure = figures.exam(volumes, slices=6)
    assert len(panels(figure)) == 6 + 3 + 6
    assert [axes.get_ylabel() for axes in panels(figure) if axes.get_ylabel()] == [
        f"Axial\n6 of {len(volume)} slices",
        "Coronal",
        f"Sagittal\n6 of {len(volume)} slices",
    ]


def test_histograms_draw_a_line_per_exam():
    rng = np.random.default_rng(0)
    before = {"axial": [rng.gamma(3, gain, 500) for gain in (10, 100)]}
    after = {"axial": [np.array([100.0] * 500), np.array([200.0] * 500)]}
    figure = figures.histograms(before, after, landmarks={"axial": [0, 128, 255]})
    left, right = figure.axes
    assert len(left.lines) == 2
    peaks = [line.get_xdata()[line.get_ydata().argmax()] for line in right.lines[:2]]
    assert peaks == pytest.approx([100, 200], abs=4)
    assert len(right.lines) == 2 + 3


def test_side_by_side_gives_every_slice_its_title_and_lesion(volume):
    lesion = np.zeros_like(volume[1])
    lesion[5:10, 5:10] = 3
    figure = figures.side_by_side(
        volume[:2], ["a bursa", "a tear"], [None, lesion], lesion_names={3: "ACL tear"},
        caption=CAPTION,
    )  # fmt: skip
    left, right = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["a bursa", "a tear"]
    assert [len(axes.collections) for axes in (left, right)] == [0, 1]
    assert [text.get_text() for text in figure.legends[0].texts] == ["ACL tear"]


def test_augmentation_gallery_begins_with_the_original(volume):
    figure = figures.augmentation_gallery(volume[0], volume[1:4], ["a", "b", "c"])
    shown = [axes.images[0].get_array() for axes in panels(figure)]
    assert np.array_equal(shown[0], volume[0]) and np.array_equal(shown[3], volume[3])
    assert [axes.get_title() for axes in panels(figure)] == ["original", "a", "b", "c"]


def test_training_curves_mark_the_epoch_that_was_kept(history):
    figure = figures.training_curves(history, caption=CAPTION)
    assert len(figure.axes) == 9 + 3
    kept = figure.axes[0].collections[-1]
    assert kept.get_offsets().tolist() == [[2, 0.3]]
    assert figure.axes[-1].collections[0].get_offsets().tolist() == [[2, 0.9]] * 3
    assert CAPTION in texts(figure)


def test_training_curves_of_one_network(history):
    one = history[(history["plane"] == "sagittal") & (history["task"] == "acl")]
    figure = figures.training_curves(one)
    assert len(figure.axes) == 2
    assert figure.axes[1].lines[0].get_ydata().tolist() == [0.5, 0.9, 0.8]
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "tuning AUC"]


def test_training_curves_of_several_seeds_show_each_and_their_mean(history):
    one = history[(history["plane"] == "axial") & (history["task"] == "acl")]
    longer = pd.concat([one, one.tail(1).assign(epoch=4, best=0)]).assign(tune_loss=0.8)
    figure = figures.training_curves(pd.concat([one.assign(seed=5), longer.assign(seed=6)]))
    losses, areas = figure.axes
    training, tuning = losses.lines[:3], losses.lines[3:6]
    assert [line.get_linewidth() < 1 for line in (*training, *tuning)] == [True, True, False] * 2
    mean = (one["tune_loss"] + 0.8) / 2
    assert tuning[2].get_ydata() == pytest.approx(mean), "up to the epoch that both reached"
    assert len(tuning[1].get_ydata()) == 4
    assert len(losses.collections[-1].get_offsets()) == len(areas.collections[0].get_offsets()) == 2
    assert {"one seed", "tuning, mean of seeds"} <= set(texts(figure))
    assert not {"one seed", "tuning, mean of seeds"} & set(texts(figures.training_curves(one)))


def test_training_curves_show_where_the_tuning_loss_has_risen(history):
    one = history[(history["plane"] == "axial") & (history["task"] == "acl")]
    one = one.assign(tune_loss=[0.5, 0.2, 0.7])
    field = figures.training_curves(one).axes[0].collections[0].get_paths()[0]
    assert field.contains_point((2.9, 0.4)) and not field.contains_point((1.5, 0.3))
    assert field.get_extents().y1 == 0.7
    before = one.assign(tune_loss=[0.3, 0.6, 0.2])  # a rise before the lowest is none
    field = figures.training_curves(before).axes[0].collections[0].get_paths()[0]
    assert field.get_extents().height == 0


def test_training_curves_share_a_scale_and_show_the_loss_of_guessing(history):
    history.loc[(history["plane"] == "axial") & (history["task"] == "acl"), "train_loss"] *= 2
    figure = figures.training_curves(history, positive={"acl": 0.2})
    losses = [axes for axes in figure.axes if not axes.get_title("left").startswith("AUC")]
    assert [axes.get_ylim()[1] for axes in losses] == pytest.approx([1.08 * 1.2] * 9)
    axial = {axes.get_title("left"): axes for axes in figure.axes}["Axial, ACL tear"]
    # One half costs log 2; negatives (0.8 of the exams) weigh 0.2 and positives (0.2) weigh 0.8.
    guess = (0.8 * 0.2 + 0.2 * 0.8) * np.log(2)
    assert axial.lines[-1].get_ydata() == pytest.approx([guess, guess])


def test_an_epoch_far_above_the_rest_leaves_the_scale(history):
    history.loc[history["epoch"] == 1, "train_loss"] = [100.0] + [0.6] * 8
    panel, *others = figures.training_curves(history).axes
    assert panel.get_ylim()[1] < 3
    assert [text.get_text() for text in panel.texts] == ["cut, up to 100.00"]
    assert not any(axes.texts for axes in others), "the other panels hold all of theirs"
    whole = figures.training_curves(history, whole=True).axes[0]
    assert whole.get_ylim()[1] > 100 and not whole.texts


def test_roc_curves_show_the_test_exams_and_their_auc(fused, predictions):
    figure = figures.roc_curves(fused, predictions, caption=CAPTION)
    assert len(figure.axes) == 9
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == ["axial 0.50", "coronal 0.50", "sagittal 0.50", "multi-view 1.00"]
    assert "2 of 5 test exams" in figure.axes[0].get_title()
    assert CAPTION in texts(figure)


def test_confusion_matrices_count_the_test_exams(fused):
    figure = figures.confusion_matrices(fused)
    numbers = [text.get_text() for text in figure.axes[0].texts]
    # rows: label no, yes; columns: predicted no, yes
    assert numbers == ["3\n100%", "0\n0%", "1\n50%", "1\n50%"]
    assert [text.get_weight() for text in figure.axes[0].texts][:2] == ["bold", "normal"]


def test_confusion_matrices_of_seeds_are_mean_counts(fused):
    other = fused.assign(seed=1, probability=0.9)
    figure = figures.confusion_matrices(pd.concat([fused.assign(seed=0), other]))
    cells = [text.get_text() for text in figure.axes[0].texts]
    assert cells == ["1.5\n50%", "1.5\n50%", "0.5\n25%", "1.5\n75%"]
    assert "means over the seeds" in figure.axes[-1].get_xlabel()


def test_roc_curves_of_seeds_show_their_mean_and_the_seeds_of_multi_view(fused, predictions):
    seeds = [table.assign(seed=0) for table in (fused, predictions)]
    other = [table.assign(seed=1, probability=1 - table["probability"]) for table in seeds]
    figure = figures.roc_curves(*(pd.concat(pair) for pair in zip(seeds, other, strict=True)))
    lines = figure.axes[0].lines
    assert len(lines) == 1 + 3 + 2 + 1, "guessing, the planes' means, two seeds, their mean"
    assert figure.axes[0].get_legend().get_title().get_text() == "AUC, 2 seeds"
    assert lines[-1].get_label() == "multi-view 0.50", "one seed right, one wrong"
    assert lines[-1].get_ydata()[0] == 0 and lines[-1].get_ydata()[-1] == 1
    assert "2 of 5 test exams positive" in figure.axes[0].get_title()


@pytest.fixture
def gained():
    """Gains of which every number tells its place: hundredths the task, thousandths the row."""
    rows = [
        (
            name,
            kind,
            over,
            0.1 * t + 0.01 * a + 0.001 * o - 0.05,
            -0.1,
            0.4,
            "exams, 3 seeds" + also,
        )
        for t, kind in enumerate([*TASKS, "average"])
        for a, name in enumerate(["alexnet", "resnet18", ALL])
        for o, (over, also) in enumerate(
            [("single-best", ", choice of the plane"), ("single-mean", "")]
        )
    ]
    columns = ["architecture", "class", "over", "gain", "low", "high", "covers"]
    return pd.DataFrame(rows, columns=columns)


def test_gain_puts_every_gain_in_its_row_and_says_what_intervals_cover(gained):
    figure = figures.gain(gained, caption=CAPTION)
    (axes,) = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["all", "AlexNet", "ResNet-18"] * 4
    rows = dict(zip(axes.get_yticks(), names, strict=True))
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert len(dots) == len(gained) == len(axes.collections)
    for dot, row in zip(dots, gained.to_dict("records"), strict=True):
        place = min(rows, key=lambda place: abs(place - dot.get_ydata()[0]))
        assert dot.get_xdata()[0] == row["gain"]
        assert rows[place] == {ALL: "all"}.get(
            row["architecture"], architecture_title(row["architecture"])
        )
    assert 0 in [line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1]
    words = " ".join(texts(figure)).replace("\n", " ")
    assert "95 % intervals: exams, 3 seeds, choice of the plane" in words and CAPTION in words
    order = [text.get_text() for text in axes.texts]
    assert order == ["Mean of the tasks", "Abnormal", "ACL tear", "Meniscus tear"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["over the plane chosen on the tuning exams", "over the mean plane"]
    flattered = figures.gain(gained, select_on="test").legends[0].get_texts()[0].get_text()
    assert flattered == "over the plane chosen on the test exams"


def test_gain_is_readable_where_it_is_shown_400_pixels_wide(gained):
    figure = figures.gain(gained, caption=CAPTION)
    scale = 400 / (figure.get_figwidth() * 72)
    sizes = [label.get_fontsize() * scale for label in figure.axes[0].get_yticklabels()]
    assert min(sizes) > 11, "pixels"


def test_confusion_matrices_at_another_threshold(fused):
    figure = figures.confusion_matrices(fused, threshold=0.4)
    counts = [text.get_text().split()[0] for text in figure.axes[0].texts]
    assert counts == ["3", "0", "0", "2"]


def test_single_vs_multi_bars_begin_at_guessing():
    averages = [("multi", "average", 0.9), ("single-best", "average", 0.8)]
    averages += [("single-mean", "average", 0.7)]
    rows = [("multi", task, 0.9) for task in TASKS] + averages
    table = pd.DataFrame(rows, columns=["views", "class", "auc"]).assign(architecture="alexnet")
    single = pd.DataFrame(
        [("alexnet", plane, task, 0.45) for plane in PLANES for task in TASKS],
        columns=["architecture", "plane", "class", "auc"],
    )
    figure = figures.single_vs_multi(table, single)
    tasks, average = ([[bar.get_height() for bar in bars] for bars in axes.containers]
                      for axes in figure.axes)  # fmt: skip
    assert tasks == [pytest.approx([height] * 3) for height in (-0.05, -0.05, -0.05, 0.4)]
    assert average == [pytest.approx([height]) for height in (0.2, 0.3, 0.4)]
    assert {bar.get_y() for bars in figure.axes[0].containers for bar in bars} == {0.5}
    assert {"0.45", "0.90"} == {text.get_text() for text in figure.axes[0].texts}
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [*PLANES, "mean of planes", "best plane", "multi-view"]


def test_fusion_weights_keep_order_and_sign():
    fusion = pd.DataFrame(
        [("alexnet", task, -3.0, 1.0, -2.0, 3.0) for task in reversed(TASKS)],
        columns=["architecture", "task", "intercept", *PLANES],
    )
    containers = figures.fusion_weights(fusion).axes[0].containers
    assert [container[0].get_height() for container in containers] == [1.0, -2.0, 3.0]
    assert (
        matplotlib.colors.to_hex(containers[0][0].get_facecolor()).upper() == PLANE_COLOURS["axial"]
    )


def test_label_counts_add_up():
    exams = pd.DataFrame(
        [("train", 0, 0, 0)] * 3 + [("train", 1, 1, 1)] + [("test", 1, 0, 1)] * 2,
        columns=["split", *TASKS],
        index=[7, 7, 8, 9, 9, 9],  # an index that repeats may not matter
    )
    figure = figures.label_counts(exams)
    widths = [[bar.get_width() for bar in axes.containers[0]] for axes in figure.axes]
    assert widths == [[75, 0, 0, 0, 25], [0, 0, 100, 0, 0]]
    assert len({axes.get_xlim() for axes in figure.axes}) == 1, "bars can be compared"
    assert "3  (75%)" in texts(figure)


def test_slices_per_exam_says_min_median_max():
    exams = pd.DataFrame({f"slices_{plane}": [17, 30, 61] for plane in PLANES})
    figure = figures.slices_per_exam(exams)
    assert "min 17, median 30, max 61" in texts(figure)
    counts = [patch.get_height() for patch in figure.axes[0].patches]
    assert sum(counts) == 3


def test_slices_per_exam_of_equal_exams():
    exams = pd.DataFrame({f"slices_{plane}": [12, 12] for plane in PLANES})
    counts = [patch.get_height() for patch in figures.slices_per_exam(exams).axes[0].patches]
    assert sum(counts) == 2


def test_pipeline_names_planes_and_tasks(volume):
    words = " ".join(texts(figures.pipeline({"axial": volume[3]}, CAPTION)))
    for word in (
        "Axial",
        "Coronal",
        "Sagittal",
        "an abnormality",
        "an ACL tear",
        "a meniscus tear",
    ):
        assert word in words
    assert words.count("CNN") == 9 and CAPTION in words


def test_drawing_leaves_no_state_behind(history, fused):
    before = dict(matplotlib.rcParams)
    figures.training_curves(history)
    figures.confusion_matrices(fused)
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.pyplot.get_fignums() == [], "seaborn must draw on the study's own figure"
    with figures.style():
        assert matplotlib.rcParams["axes.spines.top"] is False
    assert dict(matplotlib.rcParams) == before


def test_figure_shows_itself_and_is_saved_whole(tmp_path):
    figure = figures.pipeline()
    assert isinstance(figure, StudyFigure)
    png, size = figure._repr_png_()
    assert png.startswith(b"\x89PNG") and size["width"] == int(figure.get_figwidth() * 96)
    path = figures.save(figure, tmp_path / "deep" / "pipeline.png")
    assert imread(path).shape[1] == round(figure.get_figwidth() * figure.dpi)
    assert [file.name for file in path.parent.iterdir()] == ["pipeline.png"]


def test_a_caption_is_taken_by_its_letters():
    figure = new_figure(1, "study own: $5 and $x_{ & <b>")
    figure.canvas.draw()
    assert figure.get_supxlabel() == "study own: $5 and $x_{ & <b>"
