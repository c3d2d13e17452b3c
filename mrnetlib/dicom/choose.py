"""Which series of a plane is taken, by stated rules and by what the user prefers.

In this order: what the user names with ``--prefer``; acquired images before reformatted ones;
neither the fat nor the out-of-phase image of a Dixon acquisition; stacks that cover the knee before
those that were broken off; the contrast of MRNet's series of that plane (sagittal T2, coronal T1,
axial PD), judged from repetition and echo time; Dixon's water before the in-phase image; fat
suppression as in MRNet's axial series; a slice count like MRNet's; the echo time nearest to a usual
one; more slices; the later of two alike, because scans are repeated when the first was spoilt.
"""

from dataclasses import dataclass

import numpy as np

from mrnetlib.dicom.kinds import FAT, IN_PHASE, OUT_OF_PHASE, WATER, says_phase
from mrnetlib.dicom.refusals import dixon_of, is_reformatted
from mrnetlib.dicom.stacks import Stack, heights_of
from mrnetlib.files import InputError
from mrnetlib.names import PLANES

#: Contrast of MRNet's series and a usual echo time of it in ms.
WANTED = {"sagittal": ("T2", 70.0), "coronal": ("T1", 15.0), "axial": ("PD", 35.0)}

#: Repetition times from here on are long; echo times from here on make a T2 image, in ms.
LONG_REPETITION, LONG_ECHO = 1200.0, 45.0

#: Slice counts of MRNet's series, widened a little.
USUAL_SLICES = range(12, 81)

#: A stack that reaches less far than this, in mm, and than this share of another was broken off.
WHOLE_KNEE, WHOLE_SHARE = 65.0, 0.8

#: So was one that has this share or less of the positions of another, and no other.
FEWER = 0.9

NOT_FAT = "it is neither the fat nor the out-of-phase image"


@dataclass(frozen=True)
class Preference:
    """One ``--prefer``: for one plane or all, by the report's series number, echo or words."""

    plane: str | None
    kind: str
    text: str

    def matches(self, stack: Stack) -> bool:
        """Whether a stack is what the user named."""
        header = stack.images[0].header
        if self.plane not in (None, stack.plane):
            return False
        if self.kind == "series":
            return self.text in (str(stack.number), stack.name)
        if self.kind == "echo":
            return self.text == header.echo
        return self.text.lower() in header.description.lower()


def parse(prefer: str | list[str] | tuple[str, ...] | None) -> list[Preference]:
    """Read preferences: ``[plane=]words``, ``[plane=]series:5`` or ``[plane=]echo:3``.

    Series have the numbers of ``dicom_report.csv``; ``series:5.2`` is the second part of series 5.
    Words are looked for in a series' description,
    protocol and sequence name, whatever their case; of several preferences the earlier counts more.
    """
    found = []
    for said in [prefer] if isinstance(prefer, str) else prefer or []:
        plane, _, rest = said.rpartition("=")
        plane = plane.strip().lower() or None
        if plane is not None and plane not in PLANES:
            raise InputError(
                f"--prefer {said}: '{plane}' is no plane; expected {', '.join(PLANES)}, as in "
                "'sagittal=T2', 'sagittal=series:5' or 'sagittal=echo:3'."
            )
        kind, colon, text = rest.strip().partition(":")
        kind = kind.strip().lower() if colon else ""
        if kind not in ("series", "echo"):
            kind, text = "words", rest
        if not text.strip():
            raise InputError(f"--prefer {said}: names nothing; give words, series:N or echo:N.")
        found.append(Preference(plane, kind, text.strip()))
    return found


def contrast(stack: Stack) -> str:
    """T1, PD or T2 from repetition and echo time, GRE for gradient echoes, "" where unknown."""
    image = stack.images[0]
    if image.header.gradient_echo:
        return "GRE"
    if image.repetition_time is None or image.echo_time is None:
        return ""
    if image.repetition_time < LONG_REPETITION:
        return "T1" if image.echo_time < LONG_ECHO else ""
    return "PD" if image.echo_time < LONG_ECHO else "T2"


def describe(stack: Stack) -> str:
    """A stack in a few words without anything that the file's texts say."""
    image = stack.images[0]
    weight = {"": "unknown contrast", "GRE": "gradient echo"}.get(
        contrast(stack), f"{contrast(stack)}-weighted"
    )
    times = [
        f"{name} {value:g} ms"
        for name, value in (("TR", image.repetition_time), ("TE", image.echo_time))
        if value is not None
    ]
    said = f"{weight} ({', '.join(times)})" if times else weight
    part = f", part {stack.part}" if stack.part else ""
    count = len(stack.images)
    return f"series {stack.number}{part}: {said}, {count} slice{'s' if count > 1 else ''}"


def coverage(stack: Stack) -> float:
    """How far the slices of an ordered stack reach, in mm, 0 for a single one."""
    return 0.0 if np.isnan(stack.distance) else len(stack.images) * stack.distance


def _broken_off(stack: Stack, stacks: list[Stack]) -> bool:
    """Whether a stack covers plainly less of the knee than another of its plane.

    It does where it reaches less far, and where the other has all of its positions and more.
    """
    if coverage(stack) < min(WHOLE_KNEE, WHOLE_SHARE * max(map(coverage, stacks))):
        return True
    places = set(np.round(heights_of(stack.images), 1))
    parallel = [one for one in stacks if np.allclose(one.frame, stack.frame, atol=0.01)]
    others = [set(np.round(heights_of(one.images), 1)) for one in parallel]
    return any(places < more and len(places) <= FEWER * len(more) for more in others)


def _rules(
    stack: Stack, preferences: list[Preference], stacks: list[Stack]
) -> list[tuple[float, str]]:
    """Penalties in the order of the rules, each with what a smaller one is called."""
    image = stack.images[0]
    wanted, usual_echo = WANTED[stack.plane]
    found = contrast(stack)
    named = [index for index, one in enumerate(preferences) if one.matches(stack)]
    echo = float("inf") if image.echo_time is None else abs(image.echo_time - usual_echo)
    dixon = dixon_of(image)
    suppressed = image.header.fat_suppressed or dixon == WATER
    return [
        (named[0] if named else len(preferences), "it is preferred by --prefer"),
        (is_reformatted(image), "it was acquired, not reformatted"),
        (says_phase(image.header.title), "the other's description calls it a phase image"),
        ((OUT_OF_PHASE, FAT).index(dixon) + 1 if dixon in (OUT_OF_PHASE, FAT) else 0, NOT_FAT),
        (_broken_off(stack, stacks), "the other covers less of the knee"),
        (
            0 if found == wanted else 1 if not found else 2,
            f"it is {wanted}-weighted like MRNet's {stack.plane} series",
        ),
        (dixon == IN_PHASE, "it is Dixon's water image"),
        (stack.plane == "axial" and not suppressed, "fat is suppressed as in MRNet's series"),
        (len(stack.images) not in USUAL_SLICES, "its slice count is like MRNet's"),
        (echo, f"its echo time is nearest to {usual_echo:g} ms"),
        (-len(stack.images), "it has the most slices"),
        (-stack.number, "it is the last of its kind"),
        (-int(stack.part.partition(" ")[0] or 0), "it is the last of its kind"),
    ]


def choose(stacks: list[Stack], preferences: list[Preference]) -> tuple[Stack, str]:
    """The stack to take among those of one plane (at least one), and why."""
    rules = {stack: _rules(stack, preferences, stacks) for stack in stacks}
    ranked = sorted(
        stacks, key=lambda stack: ([penalty for penalty, _ in rules[stack]], stack.part)
    )
    best = ranked[0]
    unmatched = preferences and not any(p.matches(stack) for p in preferences for stack in stacks)
    note = "; none matches --prefer" if unmatched else ""
    if len(ranked) == 1:
        return best, f"the only usable {best.plane} series{note}"
    first, second = rules[best], rules[ranked[1]]
    reason = next(
        (name for (ours, name), (theirs, _) in zip(first, second, strict=True) if ours < theirs),
        "it comes first",
    )
    return best, f"chosen among {len(ranked)} {best.plane} candidates: {reason}{note}"
