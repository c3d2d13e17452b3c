"""A figure in words, for those who do not see it: what is written in it, in a fixed order."""

from collections.abc import Iterable

from matplotlib.figure import Figure

#: Longer lists of a figure's words are cut: they are read aloud.
MOST = 12


def described(figure: Figure) -> str:
    """The alternative text of a figure: title, panels, axes, rows, legend, labels and caption.

    Everything comes from what is drawn, so that it cannot say anything else than the figure.
    """
    axes = figure.axes
    figure.draw_without_rendering()  # only then do ticks have their labels
    pictures = sum(bool(one.images) for one in axes)
    parts = [
        ("", [figure.get_suptitle()]),
        (f"{len(axes)} panels: " if len(axes) > 1 else "", [one.get_title() for one in axes]),
        ("Pictures in grey: ", [str(pictures)] if pictures else []),
        ("Horizontal axis: ", [one.get_xlabel() for one in axes]),
        ("Columns: ", _named(one.get_xticklabels() for one in axes)),
        ("Vertical axis: ", [one.get_ylabel() for one in axes]),
        ("Rows: ", _named(one.get_yticklabels() for one in axes)),
        ("Legend: ", [text.get_text() for one in _legends(figure) for text in one.get_texts()]),
        ("Labels: ", [text.get_text() for one in axes for text in one.texts]),
        ("Data: ", [figure.get_supxlabel()]),
    ]
    said = [front + listed for front, words in parts if (listed := _listed(words))]
    return " ".join(f"{part.rstrip('.')}." for part in said) or "A figure without words."


def _named(ticks: Iterable[list]) -> list[str]:
    """The labels of ticks that name something; numbers say nothing without the line they are on."""
    texts = [tick.get_text() for labels in ticks for tick in labels]
    return [text for text in texts if any(letter.isalpha() for letter in text)]


def _legends(figure: Figure) -> list:
    own = [one.get_legend() for one in figure.axes]
    return [*figure.legends, *(legend for legend in own if legend is not None)]


def _listed(words: Iterable[str]) -> str:
    """Different words in their order, cut where there are many."""
    found = list(dict.fromkeys(" ".join(word.split()) for word in words if word.strip()))
    more = f"; and {len(found) - MOST} more" if len(found) > MOST else ""
    return "; ".join(found[:MOST]) + more
