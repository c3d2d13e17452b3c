"""What the paper's horizontal flip does to each plane's networks.

    python -m benchmarks.flip --json FILE
    python -m benchmarks.flip --study mine --architecture resnet18 --tasks acl --json FILE

A flip makes a left knee of a right one in axial and coronal slices. In sagittal slices it swaps
front and back: the patella ends up behind the joint, as in no knee. Networks are trained over
several seeds with the study's recipe, with the flip and without, all else as it is; everything is
paired by plane, task and seed. Only the tuning exams are looked at. Run the study first: its banks
and pretrained backbones are used.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import recipe
from mrnetlib import study
from mrnetlib.files import write_csv, write_json
from mrnetlib.names import TASKS
from mrnetlib.provenance import circumstances

#: Without the flip, which the paper's probability is compared with; sagittal exams have their own.
VARIED = {"flip": (0.0, 0.5), "flip_sagittal": (0.0, 0.5)}


def all_cases(planes: Sequence[str], tasks: list[str], seeds: int, architecture: str) -> list[dict]:
    """Every network to be trained: of each plane with its own setting varied."""
    found = []
    for plane in planes:
        name = "flip_sagittal" if plane == "sagittal" else "flip"
        found += recipe.all_cases({name: VARIED[name]}, tasks, seeds, [plane], [architecture])
    return found


def main() -> None:
    """Train all networks, as many at a time as asked, print the comparison, and write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--study", default="phantom")
    parser.add_argument("--architecture", default="alexnet")
    parser.add_argument("--tasks", nargs="+", default=["acl", "meniscus"], choices=TASKS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    this = study.load(arguments.study)
    words = this.settings.planes, arguments.tasks, arguments.seeds, arguments.architecture
    cases = all_cases(*words)
    table = recipe.trained(this, cases, arguments.workers)
    comparison = recipe.compared(table, VARIED, of="plane")
    print(comparison.round(3).to_string(index=False))
    if arguments.json:
        write_csv(arguments.json.with_suffix(".csv"), table)
        content = {"study": this.caption(), "architecture": arguments.architecture}
        content |= {"tasks": arguments.tasks, "compared": comparison.to_dict("records")}
        write_json(arguments.json, content | circumstances(this))


if __name__ == "__main__":
    main()
