"""The chain of a study: which step makes which files, and what runs it.

    python -m mrnetlib study phantom              # everything that is missing or out of date
    python -m mrnetlib study phantom --dry-run    # what that would be

What a step reads and makes is said once, in `mrnetlib.chain.steps`; whether it has to run again, by
what it was made from, in `mrnetlib.chain.freshness`. Snakemake orders the steps and runs as many at
a time as there is room for. Files' times decide nothing, which is what `ancient` says. Everything
is written to data/<study>/, of which git sees nothing: a fresh clone runs everything, and the
committed results, in results/<study>/, change by `python -m mrnetlib keep` alone.

What a study takes over from the one that it extends (`mrnetlib.study.take_over`) is there before the
chain begins, and no rule makes it.
"""

import re
import sys
from pathlib import Path

from mrnetlib import study as studies
from mrnetlib.chain import steps
from mrnetlib.chain.cluster import gpus

# The file rather than the name, which may be 007: Snakemake takes that for a number.
NAME = config.get("study", "phantom").removeprefix("studies/").removesuffix(".yaml")
STUDY = studies.load(NAME, Path(workflow.basedir))
SETTINGS = STUDY.settings
# What a rule's `shell` puts in with {NAME:q}: no folder's name reaches a shell without its quotes.
MRNETLIB = [sys.executable, "-m", "mrnetlib"]
NOTEBOOK = [*MRNETLIB, "notebook", "--study", STUDY.name]

_, TAKEN_OVER = studies.taken_over(STUDY)

# Each training that may find a GPU gets one of its own; on a CPU there are as many as cores allow.
MAY_USE_GPU = int(SETTINGS.device != "cpu")
TRAINING_THREADS = SETTINGS.threads or workflow.cores or 1
workflow.global_resources.setdefault("gpu", max(1, len(gpus()) if MAY_USE_GPU else 1))
UNIT = "{architecture}", "{plane}"


def read_by(rule):
    """The files that a rule's job reads; folders are compared, but Snakemake makes none of them."""
    def inputs(wildcards):
        step = steps.RULES[rule](STUDY, *wildcards)
        return [ancient(path) for path in step.inputs if not path.endswith("/")]
    return inputs


def made_by(rule, *unit):
    """The files that a rule's job makes, with wildcards for its architecture and plane: none where
    the study takes those of its step over."""
    taken = rule in TAKEN_OVER and not unit
    return [] if taken else list(steps.RULES[rule](STUDY, *unit).outputs)


def own_architectures(step):
    """A wildcard's pattern: the architectures of which the study makes the files of a step."""
    taken = TAKEN_OVER.get(step, ())
    names = [re.escape(name) for name in SETTINGS.architectures if name not in taken]
    return "|".join(names) or "(?!)"


def all_of(*extras):
    """Every file of every step, so that one which was deleted comes back."""
    return lambda _: [path for step in steps.steps(STUDY, extras) for path in step.outputs]


wildcard_constraints:
    plane="|".join(SETTINGS.planes),
    seed=r"\d+",


rule all:
    input: all_of(),


rule exams:
    input: read_by("exams"),
    output: made_by("exams"),
    threads: workflow.cores
    shell: "{NOTEBOOK:q} 00_exams"


rule preprocessing:
    input: read_by("preprocessing"),
    output: made_by("preprocessing"),
    shell: "{NOTEBOOK:q} 01_preprocessing"


rule pretraining:
    input: read_by("pretraining"),
    output: made_by("pretraining", UNIT[0]),
    wildcard_constraints: architecture=own_architectures("pretraining"),
    resources: gpu=MAY_USE_GPU,
    threads: TRAINING_THREADS
    shell: "{MRNETLIB:q} pretrain {wildcards.architecture:q} --study {STUDY.name:q}"


rule training:
    input: read_by("training"),
    output: made_by("training", *UNIT),
    wildcard_constraints: architecture=own_architectures("training"),
    resources: gpu=MAY_USE_GPU,
    threads: TRAINING_THREADS
    # The slowest networks first, so that no core is idle at the end.
    priority: lambda wildcards: 0 if wildcards.architecture == "alexnet" else 1
    shell:
        "{NOTEBOOK:q} 02_per_plane_training -p architecture={wildcards.architecture:q} "
        "-p planes={wildcards.plane:q}"


rule fusion:
    input: read_by("fusion"),
    output: made_by("fusion"),
    shell: "{NOTEBOOK:q} 03_fusion"


rule comparison:
    input: read_by("comparison"),
    output: made_by("comparison"),
    shell: "{NOTEBOOK:q} 04_single_vs_multi_view"


rule models:
    input: read_by("models"),
    output: made_by("models", "{architecture}", "{seed}"),
    resources: gpu=MAY_USE_GPU,
    shell: "{MRNETLIB:q} export {wildcards.architecture:q} {wildcards.seed:q} --study {STUDY.name:q}"


rule provenance:
    input: read_by("provenance"),
    output: made_by("provenance"),
    shell: "{MRNETLIB:q} provenance --study {STUDY.name:q} {input:q}"


# From here on: what `make choices` adds. Nothing above depends on it.

rule choices:
    input: all_of("choices"),


rule choices_preparation:
    input: read_by("choices_preparation"),
    output: made_by("choices_preparation"),
    resources: gpu=MAY_USE_GPU,
    threads: TRAINING_THREADS
    shell: "{MRNETLIB:q} retrain --study {STUDY.name:q}"


rule retraining:
    input: read_by("retraining"),
    output: made_by("retraining", *UNIT),
    resources: gpu=MAY_USE_GPU,
    threads: TRAINING_THREADS
    priority: lambda wildcards: 0 if wildcards.architecture == "alexnet" else 1
    shell: "{MRNETLIB:q} retrain {wildcards.architecture:q} {wildcards.plane:q} --study {STUDY.name:q}"


rule choices_notebook:
    input: read_by("choices_notebook"),
    output: made_by("choices_notebook"),
    shell: "{NOTEBOOK:q} 06_choices_that_move_the_number"


rule choices_provenance:
    input: read_by("choices_provenance"),
    output: made_by("choices_provenance"),
    shell: "{MRNETLIB:q} provenance --of choices --study {STUDY.name:q} {input:q}"


# What `mrnetlib study --lab` adds. Nothing above depends on it.

rule lab:
    input: all_of("lab"),


rule lab_notebook:
    input: read_by("lab_notebook"),
    output: made_by("lab_notebook"),
    resources: gpu=MAY_USE_GPU,
    threads: workflow.cores
    shell: "{NOTEBOOK:q} 09_transfer_learning_lab"


rule lab_provenance:
    input: read_by("lab_provenance"),
    output: made_by("lab_provenance"),
    shell: "{MRNETLIB:q} provenance --of lab --study {STUDY.name:q} {input:q}"


# What `make looks` adds, for exams whose lesions are known. Nothing above depends on it.

rule looks:
    input: all_of("looks"),


rule looks_notebook:
    input: read_by("looks_notebook"),
    output: made_by("looks_notebook"),
    resources: gpu=MAY_USE_GPU,
    threads: workflow.cores
    shell: "{NOTEBOOK:q} 07_where_the_networks_look"


rule looks_provenance:
    input: read_by("looks_provenance"),
    output: made_by("looks_provenance"),
    shell: "{MRNETLIB:q} provenance --of looks --study {STUDY.name:q} {input:q}"
