"""The chain of a study: which step makes which files.

    python -m mrnetlib study phantom              # everything that is missing or out of date
    python -m mrnetlib study phantom --dry-run    # what that would be

A step runs again when its inputs, the settings that it reads (`mrnetlib.settings`), or its code has
changed: that of its notebook and of its packages, without comments, docstrings and prose. A change
that only restyles pictures draws them again and trains nothing. Everything is written to
data/<study>/, of which git sees nothing: a fresh clone runs everything, and the committed results,
in results/<study>/, change by `python -m mrnetlib keep` alone.

What a study takes over from the one that it extends (`mrnetlib.study.take_over`) is there before the
chain begins, and no rule makes it.
"""

import functools
import re
import sys
from pathlib import Path

from mrnetlib import settings as settings_of
from mrnetlib import study as studies
from mrnetlib.files import code_digest
from mrnetlib.names import SPLITS, fused_path, history_path, prediction_path

# The file rather than the name, which may be 007: Snakemake takes that for a number.
NAME = config.get("study", "phantom").removeprefix("studies/").removesuffix(".yaml")
STUDY = studies.load(NAME, Path(workflow.basedir))
SETTINGS = STUDY.settings
DATA, RESULTS = f"data/{STUDY.name}", f"data/{STUDY.name}/results"
UNIT = "{architecture}", "{plane}", "{task}"
PREDICTIONS = prediction_path(RESULTS, *UNIT).as_posix()
HISTORY = history_path(RESULTS, *UNIT).as_posix()
FUSED = fused_path(RESULTS, *UNIT[::2]).as_posix()
# What a rule's `shell` puts in with {NAME:q}: no folder's name reaches a shell without its quotes.
MRNETLIB = [sys.executable, "-m", "mrnetlib"]
NOTEBOOK = [*MRNETLIB, "notebook", "--study", STUDY.name]

_, TAKEN_OVER = studies.taken_over(STUDY)

# Trainings that may find a GPU take turns on it; on a CPU there are as many as the cores allow.
MAY_USE_GPU = int(SETTINGS.device != "cpu")
TRAINING_THREADS = SETTINGS.threads or workflow.cores
workflow.global_resources.setdefault("gpu", 1)


def settings(*steps):
    """The settings that these steps read, as text for a rule's `params`."""
    names = dict.fromkeys(name for step in steps for name in settings_of.keys_of(step))
    return [as_param(f"{name}={getattr(SETTINGS, name)}") for name in names]


def as_param(text):
    """Text in which Snakemake finds no wildcards, whatever a user's folder is called."""
    return text.replace("{", "<").replace("}", ">")


@functools.cache
def code(*parts):
    """Digests of packages and modules of mrnetlib, or of notebooks, for a rule's `params`."""
    root = Path(workflow.basedir)
    found = [next(p for p in places(root, part) if p.exists()) for part in parts]
    return [f"{path.stem}={code_digest(path)}" for path in found]


def places(root, part):
    """Where a part may lie."""
    library = root / "mrnetlib"
    return library / part, library / f"{part}.py", root / "notebooks" / f"{part}.ipynb"


def own(step, *files):
    """The files that a rule makes: none where the study takes those of its step over."""
    return [] if step in TAKEN_OVER else files


def own_architectures(step):
    """A wildcard's pattern: the architectures of which the study makes the files of a step."""
    taken = TAKEN_OVER.get(step, ())
    names = [re.escape(name) for name in SETTINGS.architectures if name not in taken]
    return "|".join(names) or "(?!)"


def drawing():
    """What pictures and captions depend on besides the results."""
    return settings("drawing") + code("figures")


def figures(*names):
    """The figures of those names."""
    return [f"{RESULTS}/figures/{name}.png" for name in names]


def every(pattern):
    """The files of a pattern for all architectures, planes and tasks of the study."""
    return sorted(set(expand(
        pattern, architecture=SETTINGS.architectures, plane=SETTINGS.planes, task=SETTINGS.tasks,
    )))


def banks(plane="{plane}", data=DATA, kinds=("npy",)):
    """The banks of a plane for all splits."""
    return [f"{data}/banks/{split}_{plane}.{kind}" for split in SPLITS for kind in kinds]


def all_banks(**more):
    """The banks of all planes."""
    return [path for plane in SETTINGS.planes for path in banks(plane, **more)]


def retrained(pattern):
    """The files of a pattern for all architectures and planes that are trained again."""
    names = {"architecture": SETTINGS.choices_architectures, "plane": SETTINGS.planes}
    return expand(pattern, **names)


NOT_STANDARDIZED = f"{DATA}/choices/not_standardized"


def not_standardized(wildcards):
    """What the retraining without standardization starts from, where there is such a one."""
    if not SETTINGS.standardize:
        return []
    pretrained = SETTINGS.weights == "pretrained"
    weights = [f"{NOT_STANDARDIZED}/weights/{wildcards.architecture}.pt"] * pretrained
    return banks(wildcards.plane, NOT_STANDARDIZED) + weights


def starting_weights(wildcards):
    """The pretrained backbone, where the study makes its own, or the user's file."""
    path = STUDY.weights_file(wildcards.architecture)
    if path is None:
        return []
    inside = path.is_relative_to(STUDY.root)
    return str(path.relative_to(STUDY.root) if inside else path)


wildcard_constraints:
    plane="|".join(SETTINGS.planes),
    seed=r"\d+",


# The architectures' seeds, whose networks are written as files that people can carry.
MODELS = [(name, seed) for name in SETTINGS.architectures for seed in SETTINGS.seeds_of(name)]

# What the steps from the exams to Table I and the models note of their runs.
RUNS = [
    f"{DATA}/runs/00_exams.json",
    f"{DATA}/runs/01_preprocessing.json",
    *every(f"{DATA}/runs/pretraining_{{architecture}}.json") * (SETTINGS.weights == "pretrained"),
    *every(f"{DATA}/runs/02_per_plane_training_{{architecture}}_{{plane}}.json"),
    f"{DATA}/runs/03_fusion.json",
    f"{DATA}/runs/04_single_vs_multi_view.json",
    *(f"{DATA}/runs/models_{name}_{seed}.json" for name, seed in MODELS),
]


# What several views bring, and, where a study from scratch stands beside, what pretraining does.
GAINS = ("gain", *("scratch",) * bool(SETTINGS.scratch_study))


def from_scratch():
    """The kept results of the study from scratch, where there are any: by their last file."""
    path = f"results/{SETTINGS.scratch_study}/provenance.json"
    return [path] if SETTINGS.scratch_study and (STUDY.root / path).is_file() else []


# Every file is asked for by name, so that one which was deleted comes back.
rule all:
    input:
        RUNS,
        f"{RESULTS}/provenance.json",
        every(PREDICTIONS),
        every(HISTORY),
        every(FUSED),
        multiext(f"{RESULTS}/table1", ".csv", ".md", ".html"),
        expand("{results}/{name}.csv", results=RESULTS,
            name=("baseline", "fusion", "single_view", "table1_intervals", "calibration", *GAINS)),
        figures("labels", "exam", "pipeline", "histograms", "fusion_weights", "gain", "roc",
            "single_vs_multi", "confusion", "calibration",
            *(f"training_{name}" for name in SETTINGS.architectures)),
        [f"{RESULTS}/models/{name}/{seed}/manifest.json" for name, seed in MODELS],


rule exams:
    output: own("exams", f"{DATA}/exams.csv", f"{DATA}/runs/00_exams.json"),
    params:
        settings("exams"),
        code("00_exams", "dicom", "phantom", "exams"),
        folder="" if SETTINGS.data == "phantom" else as_param(str(STUDY.exams)),
    threads: workflow.cores
    shell: "{NOTEBOOK:q} 00_exams"


rule preprocessing:
    input: f"{DATA}/exams.csv",
    output:
        own("preprocessing", *all_banks(kinds=("npy", "json"))),
        own("preprocessing", f"{DATA}/landmarks.json", f"{RESULTS}/baseline.csv"),
        own("preprocessing", f"{DATA}/runs/01_preprocessing.json"),
    params: settings("preprocessing"), code("01_preprocessing", "exams", "evaluation/baseline"),
    shell: "{NOTEBOOK:q} 01_preprocessing"


# The pictures of the two steps before stand in rules of their own, so that they are drawn again
# without anything being made again: these rules find what a run has just drawn, and keep it.

rule pictures_of_exams:
    input: f"{DATA}/exams.csv",
    output: update(own("exams", *figures("labels", "exam", "pipeline"), f"{RESULTS}/00_exams.html")),
    params: drawing(),
    shell: "{NOTEBOOK:q} 00_exams --redraw {output:q}"


rule pictures_of_preprocessing:
    input: f"{DATA}/landmarks.json",
    output: update(own("preprocessing", *figures("histograms"), f"{RESULTS}/01_preprocessing.html")),
    params: drawing(),
    shell: "{NOTEBOOK:q} 01_preprocessing --redraw {output:q}"


rule pretraining:
    input: [f"{DATA}/banks/train_{plane}.npy" for plane in SETTINGS.planes],
    output:
        f"{DATA}/weights/{{architecture}}.pt",
        f"{RESULTS}/pretraining/{{architecture}}.csv",
        f"{DATA}/runs/pretraining_{{architecture}}.json",
    wildcard_constraints: architecture=own_architectures("pretraining"),
    params: settings("pretraining"), code("training"),
    resources: gpu=MAY_USE_GPU,
    threads: TRAINING_THREADS
    shell: "{MRNETLIB:q} pretrain {wildcards.architecture:q} --study {STUDY.name:q}"


rule training:
    input: starting_weights, banks(),
    output:
        expand((PREDICTIONS, HISTORY), task=SETTINGS.tasks, allow_missing=True),
        f"{DATA}/runs/02_per_plane_training_{{architecture}}_{{plane}}.json",
        f"{RESULTS}/02_per_plane_training_{{architecture}}_{{plane}}.html",
    wildcard_constraints: architecture=own_architectures("training"),
    params:
        # Its checkpoints are finished where only the captions change, and nothing is trained again.
        settings("training", "drawing"),
        code("02_per_plane_training", "training", "exams/banks", "exams/subsets"),
    resources: gpu=MAY_USE_GPU,
    threads: TRAINING_THREADS
    # The slowest networks first, so that no core is idle at the end.
    priority: lambda wildcards: 0 if wildcards.architecture == "alexnet" else 1
    shell:
        "{NOTEBOOK:q} 02_per_plane_training -p architecture={wildcards.architecture:q} "
        "-p planes={wildcards.plane:q}"


rule fusion:
    input:
        every(PREDICTIONS),
        every(HISTORY),
    output:
        every(FUSED),
        f"{RESULTS}/fusion.csv",
        figures("fusion_weights", *(f"training_{name}" for name in SETTINGS.architectures)),
        f"{DATA}/runs/03_fusion.json",
        f"{RESULTS}/03_fusion.html",
    params: settings("fusion"), code("03_fusion", "fusion", "evaluation"), drawing(),
    shell: "{NOTEBOOK:q} 03_fusion"


rule comparison:
    input:
        every(PREDICTIONS),
        every(FUSED),
        f"{RESULTS}/baseline.csv",
        from_scratch(),
    output:
        multiext(f"{RESULTS}/table1", ".csv", ".md", ".html"),
        f"{RESULTS}/single_view.csv",
        f"{RESULTS}/table1_intervals.csv",
        f"{RESULTS}/calibration.csv",
        [f"{RESULTS}/{name}.csv" for name in GAINS],
        figures("gain", "roc", "single_vs_multi", "confusion", "calibration"),
        f"{DATA}/runs/04_single_vs_multi_view.json",
        f"{RESULTS}/04_single_vs_multi_view.html",
    params: settings("comparison"), code("04_single_vs_multi_view", "evaluation"), drawing(),
    shell: "{NOTEBOOK:q} 04_single_vs_multi_view"


rule models:
    input:
        banks=all_banks(),
        predictions=every(PREDICTIONS),
        # A comparison that is only drawn again changes no card: what it depends on is in `params`.
        card=ancient([f"{RESULTS}/{name}.csv" for name in ("table1_intervals", "calibration")]),
    output:
        f"{RESULTS}/models/{{architecture}}/{{seed}}/manifest.json",
        f"{DATA}/runs/models_{{architecture}}_{{seed}}.json",
    params:
        settings("fusion", "comparison", "drawing"),
        code("evaluation", *(f"reading/{part}" for part in ("export", "models", "distances", "card"))),
    resources: gpu=MAY_USE_GPU,
    shell: "{MRNETLIB:q} export {wildcards.architecture:q} {wildcards.seed:q} --study {STUDY.name:q}"


rule provenance:
    input: RUNS,
    output: f"{RESULTS}/provenance.json",
    shell: "{MRNETLIB:q} provenance --study {STUDY.name:q} {input:q}"


# From here on: what `make choices` adds. Nothing above depends on it.

rule choices:
    input:
        rules.all.input,
        f"{RESULTS}/choices/provenance.json",
        multiext(f"{RESULTS}/choices/summary", ".csv", ".md"),


rule choices_preparation:
    input: all_banks(),
    output:
        all_banks(data=NOT_STANDARDIZED, kinds=("npy", "json")) if SETTINGS.standardize else [],
        [
            pattern.format(architecture=architecture)
            for architecture in SETTINGS.choices_architectures
            for pattern in (
                f"{NOT_STANDARDIZED}/weights/{{architecture}}.pt",
                f"{RESULTS}/choices/not_standardized/pretraining/{{architecture}}.csv",
            )
            if SETTINGS.standardize and SETTINGS.weights == "pretrained"
        ],
        f"{DATA}/runs/choices_preparation.json",
    params:
        settings("preprocessing", "pretraining"),
        code("exams", "training", "variants/recipes", "variants/retrain"),
        weights=as_param(SETTINGS.weights),
    resources: gpu=MAY_USE_GPU,
    threads: TRAINING_THREADS
    shell: "{MRNETLIB:q} retrain --study {STUDY.name:q}"


rule retraining:
    input: starting_weights, not_standardized, banks(),
    output:
        expand("{results}/choices/{kind}/{{architecture}}_{{plane}}.csv", results=RESULTS,
            kind=("predictions", "networks")),
        f"{DATA}/runs/choices_{{architecture}}_{{plane}}.json",
    params:
        settings("training", "choices"),
        code("training", "exams/banks", "exams/subsets", "variants/recipes", "variants/retrain"),
    resources: gpu=MAY_USE_GPU,
    threads: TRAINING_THREADS
    priority: lambda wildcards: 0 if wildcards.architecture == "alexnet" else 1
    shell: "{MRNETLIB:q} retrain {wildcards.architecture:q} {wildcards.plane:q} --study {STUDY.name:q}"


rule choices_notebook:
    input:
        every(PREDICTIONS),
        every(FUSED),
        retrained(f"{RESULTS}/choices/predictions/{{architecture}}_{{plane}}.csv"),
        retrained(f"{RESULTS}/choices/networks/{{architecture}}_{{plane}}.csv"),
    output:
        multiext(f"{RESULTS}/choices/summary", ".csv", ".md"),
        f"{RESULTS}/choices/comparisons.csv",
        figures("choices_retraining", "choices_seeds", "choices_exams", "choices_fusion",
            "choices_plane", "choices_threshold", "choices_all"),
        f"{DATA}/runs/06_choices_that_move_the_number.json",
        f"{RESULTS}/06_choices_that_move_the_number.html",
    params:
        settings("fusion", "comparison", "choices"),
        code("06_choices_that_move_the_number", "fusion", "evaluation", "variants"),
        drawing(),
    shell: "{NOTEBOOK:q} 06_choices_that_move_the_number"


rule choices_provenance:
    input:
        f"{DATA}/runs/choices_preparation.json" if SETTINGS.standardize else [],
        retrained(f"{DATA}/runs/choices_{{architecture}}_{{plane}}.json"),
        f"{DATA}/runs/06_choices_that_move_the_number.json",
    output: f"{RESULTS}/choices/provenance.json",
    shell: "{MRNETLIB:q} provenance --of choices --study {STUDY.name:q} {input:q}"


# What `mrnetlib study --lab` adds. Nothing above depends on it.

LAB_TABLES = multiext(f"{RESULTS}/lab/", "predictions.csv", "curves.csv", "summary.csv", "claims.csv",
    "summary.md")


def lab_weights(wildcards):
    """What the lab's networks start from, where that is a file."""
    names = SETTINGS.architectures
    name = "alexnet" if "alexnet" in names else names[0]
    return starting_weights(type("Lab", (), {"architecture": name}))


rule lab:
    input:
        rules.all.input,
        f"{RESULTS}/lab/provenance.json",
        LAB_TABLES,


rule lab_notebook:
    input: lab_weights, all_banks(),
    output:
        LAB_TABLES,
        figures("lab_curves", "lab_exams", "lab_claims", "lab_overfitting"),
        f"{DATA}/runs/09_transfer_learning_lab.json",
        f"{RESULTS}/09_transfer_learning_lab.html",
    params:
        settings("training"),
        code("09_transfer_learning_lab", "training", "exams/banks", "exams/subsets", "evaluation",
            "teaching"),
        drawing(),
    resources: gpu=MAY_USE_GPU,
    threads: workflow.cores
    shell: "{NOTEBOOK:q} 09_transfer_learning_lab"


rule lab_provenance:
    input: f"{DATA}/runs/09_transfer_learning_lab.json",
    output: f"{RESULTS}/lab/provenance.json",
    shell: "{MRNETLIB:q} provenance --of lab --study {STUDY.name:q} {input:q}"


# From here on: what `make looks` adds, for exams whose lesions are known.

rule looks:
    input:
        rules.all.input,
        f"{RESULTS}/looks/provenance.json",
        f"{RESULTS}/looks/summary.md",


rule looks_notebook:
    input:
        every(PREDICTIONS),
        every(FUSED),
        all_banks(),
    output:
        multiext(f"{RESULTS}/looks", ".csv", "_removed.csv"),
        f"{RESULTS}/looks/summary.md",
        figures("looks_controls", "looks_planes", "looks_cases", "looks_removed",
            "looks_severity"),
        f"{DATA}/runs/07_where_the_networks_look.json",
        f"{RESULTS}/07_where_the_networks_look.html",
    params:
        settings("exams", "training", "fusion"),
        code("07_where_the_networks_look", "training", "phantom", "exams/intensity", "fusion",
            *(f"reading/{name}" for name in ("evidence", "gradcam", "looks", "removed", "scores"))),
        drawing(),
    resources: gpu=MAY_USE_GPU,
    threads: workflow.cores
    shell: "{NOTEBOOK:q} 07_where_the_networks_look"


rule looks_provenance:
    input: f"{DATA}/runs/07_where_the_networks_look.json",
    output: f"{RESULTS}/looks/provenance.json",
    shell: "{MRNETLIB:q} provenance --of looks --study {STUDY.name:q} {input:q}"
