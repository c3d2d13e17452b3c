"""Ask a service which pinned versions have known vulnerabilities: ``make audit``.

``python docs/audit.py``. The names and versions of constraints.txt go to the database of OSV, in
one question. The exit status is 0 where it knows of none, 1 where it does, and 2 where it could not
be asked: then nothing is known.
"""

import argparse
import json
import re
import sys
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parent.parent

SERVICE = "https://api.osv.dev/v1/querybatch"

PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", re.MULTILINE)


def pinned(text: str) -> list[tuple[str, str]]:
    """Names and versions of a file of constraints."""
    return PINNED.findall(text)


def ask(service: str, packages: list[tuple[str, str]], timeout: float = 30) -> list[list[str]]:
    """The identifiers of each package's known vulnerabilities."""
    queries = [
        {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}
        for name, version in packages
    ]
    question = json.dumps({"queries": queries}).encode()
    request = Request(service, question, {"Content-Type": "application/json"})
    with urlopen(request, timeout=timeout) as answer:
        results = json.load(answer)["results"]
    if len(results) != len(packages):
        raise ValueError(f"{len(results)} answers to {len(packages)} questions")
    return [[one["id"] for one in result.get("vulns", [])] for result in results]


def main(words: list[str] | None = None) -> int:
    """Print what is known; see this file's first lines for the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--service", default=SERVICE)
    parser.add_argument("--constraints", type=Path, default=ROOT / "constraints.txt")
    chosen = parser.parse_args(words)
    packages = pinned(chosen.constraints.read_text(encoding="utf-8"))
    try:
        found = ask(chosen.service, packages)
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError) as error:
        print(
            f"error: {chosen.service} could not be asked ({error}), so nothing is known of the "
            f"{len(packages)} pinned versions. Run it again with a network.",
            file=sys.stderr,
        )
        return 2
    for (name, version), known in zip(packages, found, strict=True):
        if known:
            print(f"{name} {version}: {', '.join(known)}")
    count = sum(map(bool, found))
    print(f"{count} of {len(packages)} pinned versions have known vulnerabilities")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
