"""How a view looks and what it is called, the same in every figure.

A view is a plane or what is made of the planes, by the names of ``table1.csv``.
"""

from mrnetlib.figures.style import MULTI_COLOUR, PLANE_COLOURS
from mrnetlib.names import PLANE_TITLES

#: Colours, dashes (on, off; empty is solid) and markers as seaborn takes them.
VIEW_COLOURS = PLANE_COLOURS | {
    "single-mean": "#BDBDBD",
    "single-best": "#858585",
    "multi": MULTI_COLOUR,
}
VIEW_DASHES = {"axial": (5, 1.5), "coronal": (1.2, 1.2), "sagittal": (6, 1.5, 1, 1.5), "multi": ""}
VIEW_MARKERS = {"axial": "^", "coronal": "s", "sagittal": "o"}
VIEW_HATCHES = {"axial": "///", "sagittal": "...", "single-best": "xxx"}
VIEW_NAMES = {plane: title.lower() for plane, title in PLANE_TITLES.items()} | {
    "single-mean": "mean of planes",
    "single-best": "best plane",
    "multi": "multi-view",
}
