"""Gather what a class needs to install this without a network: a folder of wheels for each system.

    python docs/wheels.py                            # for Windows, macOS and Linux
    python docs/wheels.py --system linux --python 3.12

The folders, in ``data/wheels/``, go onto a stick beside a clone of the project;
docs/teaching/setup.md says how to install from them. What was gathered and how large it is, packed
and unpacked, is measured by this command, printed and written to ``sizes.json`` beside the folders.
"""

import argparse
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from tqdm.auto import tqdm

from mrnetlib.files import InputError, read_json, write_json
from mrnetlib.provenance import commit

ROOT = Path(__file__).resolve().parent.parent

#: Packages that pip is asked for at a time; it takes long to begin.
TOGETHER = 20

#: The names of each system's wheels, and what their requirements are asked for it. PyPI has torch
#: without CUDA for Windows and macOS; Linux's is one that needs its CUDA libraries to start.
SYSTEMS = {
    "windows": {
        "platforms": ["win_amd64"],
        "is": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
    },
    "macos": {
        "platforms": [f"macosx_{version}_0_arm64" for version in (15, 14, 13, 12, 11)]
        + ["macosx_10_9_universal2"],
        "is": {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
    },
    "linux": {
        # Up to the C library of Ubuntu 22.04.
        "platforms": [f"manylinux_2_{n}_x86_64" for n in range(35, 4, -1)]
        + ["manylinux2014_x86_64"],
        "is": {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
    },
}


def pins() -> dict[str, str]:
    """The version of each package that constraints.txt holds."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = (Requirement(line) for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(one.name): str(one.specifier) for one in found}


def needed(system: str, python: str) -> list[str]:
    """What the project needs on a system, with what that needs: pinned requirements.

    The requirements of each package are those of this environment's; pip itself would ask them of
    the system on which it runs. Of what is not installed here, as it is for another system only,
    no further needs are known.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"], "wheel"]
    asked = default_environment() | SYSTEMS[system]["is"]
    asked |= {"python_version": python, "python_full_version": f"{python}.0"}
    versions, found, left = pins(), {}, [Requirement(text) for text in wanted]
    while left:
        one = left.pop()
        extras = found.setdefault(canonicalize_name(one.name), set())
        new = {"", *one.extras} - extras
        extras |= new
        left += [r for extra in sorted(new) for r in requirements(one.name, asked, extra)]
    return [f"{name}{versions.get(name, '')}" for name in sorted(found)]


def requirements(name: str, asked: dict[str, str], extra: str) -> Iterator[Requirement]:
    """What a package needs on a system, with one of its extras or with none."""
    try:
        texts = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return
    for one in map(Requirement, texts):
        with_extra = one.marker is not None and "extra" in str(one.marker)
        if with_extra == bool(extra) and (
            one.marker is None or one.marker.evaluate(asked | {"extra": extra})
        ):
            yield one


def gather(folder: Path, system: str, python: str) -> list[str]:
    """Download a system's wheels that are not there yet; gives those that were built here.

    A package without a wheel is built from its source, and has to be the same on every system.
    """
    how = ["--no-deps", "--only-binary=:all:", "--python-version", python, "--dest", str(folder)]
    how += [word for name in SYSTEMS[system]["platforms"] for word in ("--platform", name)]
    left = [one for one in needed(system, python) if not there(folder, one)]
    built = []
    with tqdm(total=len(left), desc=system, unit="package") as bar:
        for start in range(0, len(left), TOGETHER):
            some = left[start : start + TOGETHER]
            if run_pip("download", *how, *some):  # one without a wheel stops them all
                built += [one for one in some if had_to_build(folder, one, how)]
            bar.update(len(some))
    return built


def had_to_build(folder: Path, one: str, how: list[str]) -> bool:
    """Download a package's wheel, or build it; whether it was built."""
    if there(folder, one) or not (words := run_pip("download", *how, one)):
        return False
    why = run_pip("wheel", "--no-deps", "--wheel-dir", str(folder), one)
    if why or not there(folder, one, "none-any"):
        raise InputError(
            f"{one}: there is no such wheel for {folder.name}, and none that is the same "
            f"everywhere could be built. Take another Python.\n{(why or words)[-1500:]}"
        )
    return True


def there(folder: Path, requirement: str, kind: str = "") -> bool:
    """Whether a folder has the wheel of a pinned requirement, or one of a kind."""
    one = Requirement(requirement)
    names = (path.name for path in folder.glob(f"*{kind}.whl"))
    found = (parse_wheel_filename(name) for name in names)
    return any(name == one.name and one.specifier.contains(version) for name, version, *_ in found)


def run_pip(*words: str) -> str:
    """Run pip; what it said where it failed, else nothing."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr or "failed") if done.returncode else ""


def measured(folder: Path, built: list[str]) -> dict[str, object]:
    """How many wheels a folder has, how large they are as files and unpacked, the largest ones."""
    sizes, unpacked = {}, 0
    for path in folder.glob("*.whl"):
        sizes[path.name] = path.stat().st_size
        with zipfile.ZipFile(path) as wheel:
            unpacked += sum(one.file_size for one in wheel.infolist())
    largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:3]
    return {
        "wheels": len(sizes),
        "bytes": sum(sizes.values()),
        "bytes_unpacked": unpacked,
        "largest": {name: sizes[name] for name in largest},
        "built_here": built,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--system", choices=SYSTEMS, action="append", help="one of them, or more")
    parser.add_argument(
        "--python", default="{}.{}".format(*sys.version_info[:2]), help="as in 3.12"
    )
    parser.add_argument("--to", type=Path, default=ROOT / "data" / "wheels", help="a folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the sizes there, too")
    arguments = parser.parse_args()
    sizes = {"python": arguments.python, **commit(ROOT), "systems": {}}
    known = read_json(path) if (path := arguments.to / "sizes.json").is_file() else {"systems": {}}
    try:
        for system in arguments.system or SYSTEMS:
            folder = arguments.to / system
            folder.mkdir(parents=True, exist_ok=True)
            before = known["systems"].get(system, {}).get("built_here", [])
            built = {*before, *gather(folder, system, arguments.python)}
            found = measured(folder, sorted(one for one in built if there(folder, one)))
            sizes["systems"][system] = found
            print(f"{system}: {found['wheels']} wheels, {found['bytes'] / 1e9:.1f} GB in {folder}")
            for path in filter(None, (arguments.to / "sizes.json", arguments.json)):
                write_json(path, sizes)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
