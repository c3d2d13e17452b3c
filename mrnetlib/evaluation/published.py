"""The paper's Table I as data, typed once, and what can be worked out from its digits.

Paper: Irmakci, Anwar, Torigian & Bagci, "Deep Learning for Musculoskeletal Image Analysis",
2020. Data: MRNet-v1.0, Bien et al., "Deep-learning-assisted diagnosis for knee magnetic
resonance imaging", PLoS Medicine 15(11), 2018.
"""

import numpy as np
import pandas as pd

from mrnetlib.exams.mrnet import COUNTS

MEASURES = ["auc", "sensitivity", "specificity", "accuracy"]
CLASSES = ["abnormal", "acl", "meniscus"]

#: Table I of the paper in its own order. views: ``multi``, or ``single`` for the row that the
#: caption calls the best single view.
TABLE_1 = pd.DataFrame(
    [
        ("alexnet", "multi", "abnormal", 0.8914, 0.9789, 0.4000, 0.8583),
        ("alexnet", "multi", "acl", 0.9388, 0.6852, 0.9545, 0.8333),
        ("alexnet", "multi", "meniscus", 0.8060, 0.6923, 0.8088, 0.7583),
        ("alexnet", "multi", "average", 0.8787, 0.7855, 0.7211, 0.8166),
        ("alexnet", "single", "average", 0.8387, 0.6850, 0.6939, 0.7639),
        ("resnet18", "multi", "abnormal", 0.8114, 0.9684, 0.2800, 0.8250),
        ("resnet18", "multi", "acl", 0.9540, 0.7778, 0.9394, 0.8667),
        ("resnet18", "multi", "meniscus", 0.8083, 0.6346, 0.8529, 0.7583),
        ("resnet18", "multi", "average", 0.8579, 0.7936, 0.6908, 0.8167),
        ("resnet18", "single", "average", 0.7779, 0.7759, 0.6136, 0.7537),
        ("googlenet", "multi", "abnormal", 0.9091, 0.9789, 0.2800, 0.8333),
        ("googlenet", "multi", "acl", 0.8906, 0.6667, 0.9242, 0.8083),
        ("googlenet", "multi", "meniscus", 0.7791, 0.6154, 0.7647, 0.7000),
        ("googlenet", "multi", "average", 0.8596, 0.7537, 0.6563, 0.7806),
        ("googlenet", "single", "average", 0.7605, 0.6231, 0.6847, 0.7046),
    ],
    columns=["architecture", "views", "class", *MEASURES],
)

#: Exams the paper tested on, the public validation set of MRNet-v1.0 (section III.A).
TEST_EXAMS = 120

#: Positive and negative test exams of each class; `fitting_sizes` finds the same from the rates.
CLASS_SIZES = {
    name: (COUNTS["valid"][name], TEST_EXAMS - COUNTS["valid"][name]) for name in CLASSES
}

#: Other published areas under the curve. Bien et al. 2018 measured on their internal validation
#: exams, which were not published (``hidden``); the independent re-run of their AlexNet model is
#: taken to have used the public ones (``valid``).
REFERENCE_AUC = pd.DataFrame(
    [
        ("Bien et al. 2018", "hidden", 0.937, 0.965, 0.847),
        ("independent re-run", "valid", 0.896, 0.842, 0.773),
    ],
    columns=["source", "exams", *CLASSES],
)

_IN_TEXT = {name: name for name in MEASURES} | {"auc": "AUC"}
_HALF_DIGIT = 0.5e-4  # half of the last printed digit
_SLACK = 1e-9  # a count exactly between two printed values fits both


def counts_behind(rate: float, n: int, tolerance: float = _HALF_DIGIT) -> list[int]:
    """All counts k for which k / n prints as `rate`.

    Parameters
    ----------
    rate : a printed proportion, 0..1.
    n : what it is a proportion of.
    tolerance : how far k / n may lie from `rate`; half a printed digit.

    Returns
    -------
    Counts in 0..n in ascending order, empty where none fits.
    """
    candidates = np.arange(n + 1)
    near = np.abs(candidates / n - rate) <= tolerance + _SLACK
    return candidates[near].tolist()


def _multi_rows(name: str | None = None) -> list[dict]:
    rows = TABLE_1[(TABLE_1["views"] == "multi") & (TABLE_1["class"] != "average")]
    return rows[rows["class"] == name].to_dict("records") if name else rows.to_dict("records")


def decisions_behind(
    row: dict, positives: int, exams: int = TEST_EXAMS, tolerance: float = _HALF_DIGIT
) -> list[tuple[int, int]]:
    """All (true positives, true negatives) that print as the row's three rates.

    Parameters
    ----------
    row : with sensitivity, specificity and accuracy as printed.
    positives : supposed number of positive exams, 1..exams - 1.
    tolerance : how far a rate may lie from its printed value.
    """
    right = set(counts_behind(row["accuracy"], exams, tolerance))
    return [
        (tp, tn)
        for tp in counts_behind(row["sensitivity"], positives, tolerance)
        for tn in counts_behind(row["specificity"], exams - positives, tolerance)
        if tp + tn in right
    ]


def fitting_sizes(name: str, architecture: str | None = None) -> list[int]:
    """All numbers of positive exams that the printed rates of a class allow.

    Every number from 1 to 119 is tried. One number left is a proof that it is the number.

    Parameters
    ----------
    name : ``abnormal``, ``acl`` or ``meniscus``.
    architecture : use the row of this architecture only; all three by default.
    """
    rows = [row for row in _multi_rows(name) if architecture in (None, row["architecture"])]
    sizes = range(1, TEST_EXAMS)
    return [size for size in sizes if all(decisions_behind(row, size) for row in rows)]


def confusion_matrices() -> pd.DataFrame:
    """The nine confusion matrices behind the multi-view rows.

    Returns
    -------
    DataFrame with the columns architecture, class, tp, fn, tn, fp and `solutions`, the number of
    matrices of 120 exams (over all class sizes that fit the class) that print as the row. Where
    it is 1, the matrix shown is the only one.
    """
    rows = []
    for row in _multi_rows():
        found = [
            (tp, size - tp, tn, TEST_EXAMS - size - tn)
            for size in fitting_sizes(row["class"])
            for tp, tn in decisions_behind(row, size)
        ]
        rows.append([row["architecture"], row["class"], *found[0], len(found)])
    names = ["architecture", "class", "tp", "fn", "tn", "fp", "solutions"]
    return pd.DataFrame(rows, columns=names)


def decisions() -> pd.DataFrame:
    """The nine matrices spelled out exam by exam, in the form of a study's fused predictions.

    The exams carry running numbers, not MRNet's: which exams were right is not known, only how
    many. So nothing paired may be computed from it.

    Returns
    -------
    DataFrame with the columns architecture, task, exam, split (test), label, probability (0 or 1,
    the decision); 120 rows per matrix.
    """
    kinds = {"tp": (1, 1.0), "fn": (1, 0.0), "tn": (0, 0.0), "fp": (0, 1.0)}
    parts = []
    for row in confusion_matrices().to_dict("records"):
        pairs = [kinds[kind] for kind in kinds for _ in range(row[kind])]
        part = pd.DataFrame(pairs, columns=["label", "probability"])
        exams = [f"{number:04d}" for number in range(len(part))]
        names = {"architecture": row["architecture"], "task": row["class"], "exam": exams}
        parts.append(part.assign(**names, split="test"))
    columns = ["architecture", "task", "exam", "split", "label", "probability"]
    return pd.concat(parts, ignore_index=True)[columns]


def averages() -> pd.DataFrame:
    """The printed average rows beside the same averages worked out again.

    Returns
    -------
    DataFrame with the columns architecture, measure, printed, from_rows (mean of the three
    printed rows) and, for the three rates, from_counts (mean of the exact proportions).
    """
    counts = confusion_matrices()
    exact = counts.assign(
        sensitivity=counts["tp"] / (counts["tp"] + counts["fn"]),
        specificity=counts["tn"] / (counts["tn"] + counts["fp"]),
        accuracy=(counts["tp"] + counts["tn"]) / TEST_EXAMS,
    )
    multi = TABLE_1[TABLE_1["views"] == "multi"]
    rows = []
    for architecture in TABLE_1["architecture"].unique():
        own = multi[multi["architecture"] == architecture].set_index("class")
        of_counts = exact[exact["architecture"] == architecture]
        for measure in MEASURES:
            from_counts = of_counts[measure].mean() if measure in of_counts else None
            printed = own.loc["average", measure]
            rows.append(
                [architecture, measure, printed, own.loc[CLASSES, measure].mean(), from_counts]
            )
    names = ["architecture", "measure", "printed", "from_rows", "from_counts"]
    return pd.DataFrame(rows, columns=names)


def granularity(networks: int, tolerance: float = _HALF_DIGIT) -> pd.DataFrame:
    """Could each single-view accuracy be a mean over this many networks?

    The accuracy of one network is a count out of 120; the mean over `networks` of them is a count
    out of 120 * networks. A printed value between two such counts cannot be that mean.

    Parameters
    ----------
    networks : 3 for one plane per class, 9 for all planes of all classes.
    tolerance : half a printed digit; twice that if rounded values were averaged.

    Returns
    -------
    DataFrame with the columns architecture, accuracy, count (the closest), closest (that count as
    a proportion), fits (bool) and chance, the share of all four-digit accuracies from 0.5 to 1
    that would fit as well.
    """
    n = TEST_EXAMS * networks
    printed = np.arange(5000, 10000) / 10000
    distance = np.abs(np.round(printed * n) / n - printed)
    chance = float((distance <= tolerance + _SLACK).mean())
    rows = []
    single = TABLE_1[TABLE_1["views"] == "single"]
    for architecture, accuracy in zip(single["architecture"], single["accuracy"], strict=True):
        count = round(accuracy * n)
        fits = bool(counts_behind(accuracy, n, tolerance))
        rows.append([architecture, accuracy, count, count / n, fits, chance])
    names = ["architecture", "accuracy", "count", "closest", "fits", "chance"]
    return pd.DataFrame(rows, columns=names)


def _best(table: pd.DataFrame, measure: str) -> str:
    best = table[table[measure] == table[measure].max()]
    return ", ".join(f"{row['architecture']} {row[measure]:.4f}" for _, row in best.iterrows())


def claims() -> pd.DataFrame:
    """Sentences of the paper's results section, each held against its own table.

    Returns
    -------
    DataFrame with the columns claim (shortened), table (what the table says) and holds (bool).
    """
    average = TABLE_1[(TABLE_1["views"] == "multi") & (TABLE_1["class"] == "average")]
    single = TABLE_1[TABLE_1["views"] == "single"].set_index("architecture")
    multi = average.set_index("architecture")
    rows = []
    for name, architectures in (
        ("abnormal", ["alexnet"]),
        ("acl", ["resnet18"]),
        ("meniscus", ["alexnet", "resnet18"]),
    ):
        own = pd.DataFrame(_multi_rows(name))
        top = own[own["accuracy"] == own["accuracy"].max()]["architecture"].tolist()
        claim = f"highest accuracy for {name}: {' and '.join(architectures)}"
        rows.append((claim, _best(own, "accuracy"), top == architectures))
    counts = confusion_matrices()
    correct = (counts["tp"] + counts["tn"]).groupby(counts["architecture"]).sum()
    for measure in ("auc", "sensitivity"):
        holds = average.loc[average[measure].idxmax(), "architecture"] == "resnet18"
        claim = f"ResNet-18 has the highest mean {_IN_TEXT[measure]}"
        rows.append((claim, _best(average, measure), holds))
    evidence = ", ".join(f"{name} {count} right" for name, count in correct.items())
    holds = bool((correct.drop("resnet18") < correct["resnet18"]).all())
    rows.append(("ResNet-18 has the highest mean accuracy", evidence, holds))
    lower = average.loc[average["specificity"].idxmax(), "architecture"] != "resnet18"
    claim = "ResNet-18 does not have the highest mean specificity"
    rows.append((claim, _best(average, "specificity"), bool(lower)))
    for measure in MEASURES:
        gain = multi[measure] - single[measure]
        evidence = ", ".join(f"{name} {value:+.4f}" for name, value in gain.items())
        claim = f"multi-view beats single-view in {_IN_TEXT[measure]}"
        rows.append((claim, evidence, (gain > 0).all()))
    lowest = [
        own.loc[own["sensitivity"].idxmin(), "class"]
        for _, own in pd.DataFrame(_multi_rows()).groupby("architecture", sort=False)
    ]
    evidence = ", ".join(f"{a}: {c}" for a, c in zip(multi.index, lowest, strict=True))
    holds = all(name == "meniscus" for name in lowest)
    rows.append(("meniscus tears have the lowest sensitivity", evidence, holds))
    holds = granularity(3)["fits"].all()
    evidence = f"{int(granularity(3)['fits'].sum())} of 3 accuracies can be means of three networks"
    rows.append(("the single-view row shows the best plane of each class", evidence, holds))
    table = pd.DataFrame(rows, columns=["claim", "table", "holds"])
    return table.astype({"holds": bool})
