"""The chain of a study: which step makes which files.

    python -m mrnetlib study phantom              # everything that is missing or out of date
    python -m mrnetlib study phantom --dry-run    # what that would be

A step runs again when its notebook's source, its inputs, or the settings named under its `params`
have changed. Every step notes its run in data/<study>/runs/, so that a fresh clone, which has the
committed results but not the exams, runs everything.
"""

import sys
from pathlib import Path

from mrnetlib import provenance
from mrnetlib import study as studies
from mrnetlib.variants import recipes

STUDY = studies.load(config.get("study", "phantom"), Path(workflow.basedir))
SETTINGS = STUDY.settings
DATA, RESULTS = f"data/{STUDY.name}", f"results/{STUDY.name}"
MRNETLIB = f'"{sys.executable}" -m mrnetlib'
NOTEBOOK = f"{MRNETLIB} notebook --study {STUDY.name}"

OF_EXAMS = [
    "data", "exams_folder", "train_exams", "test_exams", "phantom_format", "phantom_protocol",
    "phantom_severity", "phantom_acl_severity", "phantom_meniscus_severity",
    "phantom_other_severity", "image_size", "tune_fraction", "seed",
]
OF_TRAINING = [
    "weights", "head", "epochs", "patience", "learning_rate", "weight_decay", "batch_exams", "flip",
    "rotation", "shift", "precision", "compile", "deterministic", "device", "threads", "seed",
]

OF_CHOICES = ["choices_tasks", "choices_seeds", "choices_folds"]

# Trainings that may find a GPU take turns on it; on a CPU there are as many as the cores allow.
MAY_USE_GPU = int(SETTINGS.device != "cpu")
TRAINING_THREADS = SETTINGS.threads or workflow.cores
workflow.global_resources.setdefault("gpu", 1)


def values(*names):
    """The named settings as text, for a rule's `params`."""
    return [f"{name}={getattr(SETTINGS, name)}" for name in names]


def figures(*names):
    """The figures of those names."""
    return [f"{RESULTS}/figures/{name}.png" for name in names]


def every(pattern):
    """The files of a pattern for all architectures, planes and tasks of the study."""
    return sorted(set(expand(
        pattern, architecture=SETTINGS.architectures, plane=SETTINGS.planes, task=SETTINGS.tasks,
    )))


def retrained(pattern):
    """The files of a pattern for all architectures and planes that are trained again."""
    names = {"architecture": SETTINGS.choices_architectures, "plane": SETTINGS.planes}
    return expand(pattern, **names)


def not_standardized(wildcards):
    """What the retraining without standardization starts from, where there is such a one."""
    if not SETTINGS.standardize:
        return []
    folder = f"{DATA}/choices/not_standardized"
    banks = [f"{folder}/banks/{split}_{wildcards.plane}.npy" for split in ("train", "tune", "test")]
    pretrained = SETTINGS.weights == "pretrained"
    return banks + [f"{folder}/weights/{wildcards.architecture}.pt"] * pretrained


def starting_weights(wildcards):
    """The pretrained backbone, where the study makes its own, or the user's file."""
    if SETTINGS.weights == "pretrained":
        return f"{DATA}/weights/{wildcards.architecture}.pt"
    if SETTINGS.weights in ("imagenet", "none"):
        return []
    return SETTINGS.weights.format(architecture=wildcards.architecture)


wildcard_constraints:
    plane="|".join(SETTINGS.planes),


rule all:
    input:
        f"{RESULTS}/provenance.json",


rule exams:
    input: "notebooks/00_exams.ipynb",
    output:
        f"{DATA}/exams.csv",
        figures("labels", "exam", "pipeline"),
        f"{DATA}/runs/00_exams.json",
        f"{RESULTS}/00_exams.html",
    params: values(*OF_EXAMS), folder="" if SETTINGS.data == "phantom" else str(STUDY.exams),
    threads: workflow.cores
    shell: "{NOTEBOOK} 00_exams"


rule preprocessing:
    input: "notebooks/01_preprocessing.ipynb", f"{DATA}/exams.csv",
    output:
        expand("{data}/banks/{split}_{plane}.{kind}", data=DATA, split=("train", "tune", "test"),
            plane=SETTINGS.planes, kind=("npy", "json")),
        f"{DATA}/landmarks.json",
        figures("histograms"),
        f"{DATA}/runs/01_preprocessing.json",
        f"{RESULTS}/01_preprocessing.html",
    params: values("standardize", "image_size"),
    shell: "{NOTEBOOK} 01_preprocessing"


rule pretraining:
    input: expand("{data}/banks/train_{plane}.npy", data=DATA, plane=SETTINGS.planes),
    output:
        f"{DATA}/weights/{{architecture}}.pt",
        f"{RESULTS}/pretraining/{{architecture}}.csv",
        f"{DATA}/runs/pretraining_{{architecture}}.json",
    params: values("pretrain_slices", "precision", "device", "seed"),
    resources: gpu=MAY_USE_GPU,
    threads: TRAINING_THREADS
    shell: "{MRNETLIB} pretrain {wildcards.architecture} --study {STUDY.name}"


rule training:
    input:
        "notebooks/02_per_plane_training.ipynb",
        starting_weights,
        expand("{data}/banks/{split}_{{plane}}.npy", data=DATA, split=("train", "tune", "test")),
    output:
        expand("{results}/{kind}/{{architecture}}_{{plane}}_{task}.csv", results=RESULTS,
            kind=("predictions", "history"), task=SETTINGS.tasks),
        f"{DATA}/runs/02_per_plane_training_{{architecture}}_{{plane}}.json",
        f"{RESULTS}/02_per_plane_training_{{architecture}}_{{plane}}.html",
    params: values(*OF_TRAINING),
    resources: gpu=MAY_USE_GPU,
    threads: TRAINING_THREADS
    # The slowest networks first, so that no core is idle at the end.
    priority: lambda wildcards: 0 if wildcards.architecture == "alexnet" else 1
    shell:
        "{NOTEBOOK} 02_per_plane_training -p architecture={wildcards.architecture} "
        "-p planes={wildcards.plane}"


rule fusion:
    input:
        "notebooks/03_fusion.ipynb",
        every(f"{RESULTS}/predictions/{{architecture}}_{{plane}}_{{task}}.csv"),
        every(f"{RESULTS}/history/{{architecture}}_{{plane}}_{{task}}.csv"),
    output:
        every(f"{RESULTS}/fused/{{architecture}}_{{task}}.csv"),
        f"{RESULTS}/fusion.csv",
        figures("fusion_weights", *(f"training_{name}" for name in SETTINGS.architectures)),
        f"{DATA}/runs/03_fusion.json",
        f"{RESULTS}/03_fusion.html",
    params: values("fuse_on"),
    shell: "{NOTEBOOK} 03_fusion"


rule comparison:
    input:
        "notebooks/04_single_vs_multi_view.ipynb",
        every(f"{RESULTS}/predictions/{{architecture}}_{{plane}}_{{task}}.csv"),
        every(f"{RESULTS}/fused/{{architecture}}_{{task}}.csv"),
    output:
        multiext(f"{RESULTS}/table1", ".csv", ".md", ".html"),
        f"{RESULTS}/single_view.csv",
        f"{RESULTS}/table1_intervals.csv",
        figures("roc", "single_vs_multi", "confusion"),
        f"{DATA}/runs/04_single_vs_multi_view.json",
        f"{RESULTS}/04_single_vs_multi_view.html",
    params: values("select_on", "description"),
    shell: "{NOTEBOOK} 04_single_vs_multi_view"


rule provenance:
    input:
        f"{DATA}/runs/00_exams.json",
        f"{DATA}/runs/01_preprocessing.json",
        every(f"{DATA}/runs/pretraining_{{architecture}}.json")
            if SETTINGS.weights == "pretrained" else [],
        every(f"{DATA}/runs/02_per_plane_training_{{architecture}}_{{plane}}.json"),
        f"{DATA}/runs/03_fusion.json",
        f"{DATA}/runs/04_single_vs_multi_view.json",
    output: f"{RESULTS}/provenance.json",
    run: provenance.collect(STUDY, [STUDY.root / name for name in input])


# From here on: what `make choices` adds. Nothing above depends on it.

rule choices:
    input: f"{RESULTS}/provenance.json", f"{RESULTS}/choices/provenance.json",


rule choices_preparation:
    input:
        expand("{data}/banks/{split}_{plane}.npy", data=DATA, split=("train", "tune", "test"),
            plane=SETTINGS.planes),
    output:
        expand("{data}/choices/not_standardized/banks/{split}_{plane}.{kind}", data=DATA,
            split=("train", "tune", "test"), plane=SETTINGS.planes, kind=("npy", "json"))
            if SETTINGS.standardize else [],
        [
            pattern.format(architecture=architecture)
            for architecture in SETTINGS.choices_architectures
            for pattern in (
                f"{DATA}/choices/not_standardized/weights/{{architecture}}.pt",
                f"{RESULTS}/choices/not_standardized/pretraining/{{architecture}}.csv",
            )
            if SETTINGS.standardize and SETTINGS.weights == "pretrained"
        ],
        f"{DATA}/runs/choices_preparation.json",
    params: values("weights", "pretrain_slices", "precision", "device", "seed", "image_size"),
    resources: gpu=MAY_USE_GPU,
    threads: TRAINING_THREADS
    shell: "{MRNETLIB} retrain --study {STUDY.name}"


rule retraining:
    input:
        starting_weights,
        not_standardized,
        expand("{data}/banks/{split}_{{plane}}.npy", data=DATA, split=("train", "tune", "test")),
    output:
        expand("{results}/choices/{kind}/{{architecture}}_{{plane}}.csv", results=RESULTS,
            kind=("predictions", "networks")),
        f"{DATA}/runs/choices_{{architecture}}_{{plane}}.json",
    params: values(*OF_TRAINING, *OF_CHOICES),
    resources: gpu=MAY_USE_GPU,
    threads: TRAINING_THREADS
    priority: lambda wildcards: 0 if wildcards.architecture == "alexnet" else 1
    shell: "{MRNETLIB} retrain {wildcards.architecture} {wildcards.plane} --study {STUDY.name}"


rule choices_notebook:
    input:
        "notebooks/06_choices_that_move_the_number.ipynb",
        every(f"{RESULTS}/predictions/{{architecture}}_{{plane}}_{{task}}.csv"),
        every(f"{RESULTS}/fused/{{architecture}}_{{task}}.csv"),
        retrained(f"{RESULTS}/choices/predictions/{{architecture}}_{{plane}}.csv"),
        retrained(f"{RESULTS}/choices/networks/{{architecture}}_{{plane}}.csv"),
    output:
        multiext(f"{RESULTS}/choices/summary", ".csv", ".md"),
        f"{RESULTS}/choices/comparisons.csv",
        figures("choices_retraining", "choices_seeds", "choices_exams", "choices_fusion",
            "choices_plane", "choices_threshold", "choices_all"),
        f"{DATA}/runs/06_choices_that_move_the_number.json",
        f"{RESULTS}/06_choices_that_move_the_number.html",
    params: values("fuse_on", "select_on", "description", *OF_CHOICES),
    shell: "{NOTEBOOK} 06_choices_that_move_the_number"


rule choices_provenance:
    input:
        f"{DATA}/runs/choices_preparation.json" if SETTINGS.standardize else [],
        retrained(f"{DATA}/runs/choices_{{architecture}}_{{plane}}.json"),
        f"{DATA}/runs/06_choices_that_move_the_number.json",
    output: f"{RESULTS}/choices/provenance.json",
    run: provenance.collect(recipes.inside(STUDY), [STUDY.root / name for name in input])
