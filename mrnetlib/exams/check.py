"""``python -m mrnetlib check FOLDER``: is this folder in MRNet's layout, and is it MRNet-v1.0?"""

from itertools import islice
from pathlib import Path

import pandas as pd

from mrnetlib.exams import layout, mrnet
from mrnetlib.names import MRNET_FOLDERS, PLANES, TASKS

#: Problems that are printed one by one.
SHOWN = 20


def compare(folder: Path) -> pd.DataFrame:
    """A folder's counts beside MRNet-v1.0's.

    Parameters
    ----------
    folder : in MRNet's layout, without problems.

    Returns
    -------
    DataFrame with the columns folder (``train`` or ``valid``), count (what is counted), here and
    mrnet (numbers; NaN where MRNet's is not known).
    """
    rows = []
    counted = layout.counts(folder).set_index("split")
    for split, name in MRNET_FOLDERS.items():
        here = counted.loc[split]
        rows += [(name, "exams", here["exams"], mrnet.COUNTS[name]["exams"])]
        rows += [
            (name, f"{task}, positive", here[task], mrnet.COUNTS[name][task]) for task in TASKS
        ]
        for plane in PLANES:
            numbers = zip(("min", "median", "max", "total"), mrnet.SLICES[name][plane], strict=True)
            rows += [
                (name, f"{plane} slices, {kind}", here[f"{plane}_{kind}"], known)
                for kind, known in numbers
            ]
    table = pd.DataFrame(rows, columns=["folder", "count", "here", "mrnet"])
    return table.astype({"here": float, "mrnet": float})


def as_text(table: pd.DataFrame) -> str:
    """The comparison for the terminal; a star marks what differs."""
    lines = [f"{'':6} {'':24} {'here':>9} {'MRNet-v1.0':>11}"]
    for row in table.itertuples():
        known = "" if pd.isna(row.mrnet) else f"{row.mrnet:,.10g}"
        star = " *" if known and row.here != row.mrnet else ""
        lines.append(f"{row.folder:6} {row.count:24} {row.here:9,.10g} {known:>11}{star}")
    return "\n".join(lines)


def main(folder: str | Path) -> int:
    """Print everything wrong with a folder, or its counts; the exit status is 1 or 0.

    Counts other than MRNet-v1.0's are no error: the exams may be the user's own.
    """
    folder = Path(folder)
    found = layout.problems(folder, progress=True)
    shown = list(islice(found, SHOWN))
    for problem in shown:
        print(f"- {problem}")
    if shown:
        more = sum(1 for _ in found)
        if more:
            print(f"and {more:,} more")
        print(f"{folder}: {len(shown) + more:,} problem(s). Mend them and check again.")
        return 1
    table = compare(folder)
    print(as_text(table))
    known = table.dropna()
    differing = int((known["here"] != known["mrnet"]).sum())
    if differing:
        print(f"{folder}: whole; {differing} of {len(known)} counts are not MRNet-v1.0's (*).")
    else:
        print(f"{folder}: whole; all counts as MRNet-v1.0.")
    return 0
