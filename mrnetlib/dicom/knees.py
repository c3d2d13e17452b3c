"""Which knee, and whether a knee at all: series of two knees or of other joints are never mixed.

What decides is where a stack lies in all three axes, the side that the file names, its frame of
reference and the part of the body. Whoever wants one of two knees names a series of it with
``--prefer series:N``.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from itertools import pairwise

from mrnetlib.dicom.anatomy import is_knee, side
from mrnetlib.dicom.choose import Preference
from mrnetlib.dicom.kinds import said
from mrnetlib.dicom.stacks import SAME_KNEE, Stack
from mrnetlib.names import PLANES

#: Stacks farther apart than this along y or z, in mm, show two joints.
SAME_JOINT = 180.0

#: Whole sets of planes that lie farther apart than this across, in mm, may be two narrow knees.
SAME_SET = 50.0

#: Coronal and axial pictures wider than this across both legs, in mm, may show both knees, and so
#: may a sagittal stack that reaches farther than this.
WIDE, WIDE_STACK = 280.0, 180.0

#: Among others, one that is this many times as wide as they are and wider than this, in mm.
WIDER, WIDE_BESIDE = 1.4, 200.0

#: A wide picture whose middle is farther than this from the knee, in mm, shows the other one too.
OFF_CENTRE = 40.0

_IN_PLANE = {"sagittal": (1, 2), "coronal": (0, 2), "axial": (0, 1)}

OTHER_KNEE = "it shows the other knee, or may do so"
OTHER_FRAME = "its frame of reference is not that of the other planes, so it may show another knee"


@dataclass
class Selection:
    """The stacks of one knee, why others were left (by stack), and what is wrong with the study."""

    stacks: list[Stack]
    left: dict[Stack, str] = field(default_factory=dict)
    fault: str = ""

    def leave(self, stacks: list[Stack], reason: str) -> None:
        """Take stacks out, each with the reason."""
        self.left = dict.fromkeys(stacks, reason) | self.left
        self.stacks = [stack for stack in self.stacks if stack not in self.left]

    def absent(self) -> dict[str, str]:
        """Planes of which stacks were left and none remains, each with the reason.

        A plane that only the other knee has, the one that was not asked for, is none of them.
        """
        there = {stack.plane for stack in self.stacks}
        reasons: dict[str, str] = {}
        for stack, reason in self.left.items():
            if stack.plane not in there and reason != OTHER_KNEE:
                reasons.setdefault(stack.plane, f"{stack.plane} series {stack.name}: {reason}")
        return {plane: reasons[plane] for plane in PLANES if plane in reasons}


def select(stacks: list[Stack], preferences: list[Preference]) -> Selection:
    """Choose the stacks of one knee among those that could become volumes.

    A study that shows two knees, or several joints of which none is plainly the knee, has a
    ``fault`` that names the series of each, unless preferences name a series of one only.
    """
    found = Selection(list(stacks))
    named = [s for s in stacks if any(p.kind == "series" and p.matches(s) for p in preferences)]
    _leave_other_joints(found, named)
    wide = [stack for stack in found.stacks if _is_wide(stack) and stack not in named]
    narrow = [stack for stack in found.stacks if stack not in wide]
    if not narrow:
        _note_wide(wide)
        return found
    joints = _cut(narrow, (2, SAME_JOINT), (1, SAME_JOINT))
    joint = _the_knee(joints, named)
    knees = [knee for part in ([joint] if joint else joints) for knee in _knees(part)]
    pairs = [knee for knee in knees if any(_opposite(knee, other) for other in knees)]
    if joint is None and not pairs:
        found.fault = (
            f"its series lie in {len(joints)} places far from each other ({_listed(joints)}), and "
            "none is plainly the knee; name a series of it with --prefer series:N"
        )
        return found
    chosen = _named_knee(knees, named)
    if len(knees) > 1 and chosen is None:
        found.fault = _two_knees(knees)
        return found
    knee = chosen or knees[0]
    beside = [stack for stack in _wider(knee) if stack not in named]
    wide, knee = wide + beside, [stack for stack in knee if stack not in beside]
    for stack in [s for s in narrow if joint is not None and s not in joint]:
        found.leave([stack], _far(stack, knee))
    found.leave([s for s in narrow if s not in knee and s not in beside], OTHER_KNEE)
    found.leave(_other_frames(knee, named), OTHER_FRAME)
    _place_wide(found, wide, knee)
    return found


def _leave_other_joints(found: Selection, named: list[Stack]) -> None:
    parts = {said(stack.images[0].header.extras.body_part) for stack in found.stacks} - {""}
    others = [s for s in found.stacks if is_knee(s, len(parts) > 1) is False and s not in named]
    found.leave(others, "its description or part of the body names another joint than the knee")


def _is_wide(stack: Stack) -> bool:
    limit = WIDE_STACK if stack.plane == "sagittal" else WIDE
    return side(stack) == "B" or bool(stack.extent[0] > limit)


def _wider(knee: list[Stack]) -> list[Stack]:
    """Stacks much wider than the others and beside them: pictures of both knees among one's."""
    sides = {stack: max(stack.extent[axis] for axis in _IN_PLANE[stack.plane]) for stack in knee}
    usual = min(sides.values())
    middle = [stack.centre[0] for stack in knee if sides[stack] < WIDER * usual]
    return [
        stack
        for stack in knee
        if sides[stack] >= WIDER * usual
        and stack.extent[0] > WIDE_BESIDE
        and abs(stack.centre[0] - sum(middle) / len(middle)) > OFF_CENTRE
    ]


def _note_wide(stacks: list[Stack]) -> None:
    for stack in stacks:
        stack.notes.append(f"it is {stack.extent[0]:.0f} mm wide and may show both knees")


def _place_wide(found: Selection, wide: list[Stack], knee: list[Stack]) -> None:
    """Leave wide pictures where there are others, or where their middle is not the knee's."""
    planes = {stack.plane for stack in knee}
    middle = sum(stack.centre for stack in knee) / len(knee)
    for stack in wide:
        said_both = side(stack) == "B"
        if abs(stack.centre - middle)[1:].max() > SAME_JOINT:
            found.leave([stack], _far(stack, knee))
        elif stack.plane in planes or said_both or abs(stack.centre - middle)[0] > OFF_CENTRE:
            found.leave([stack], f"it is {stack.extent[0]:.0f} mm wide and shows both knees")
        else:
            _note_wide([stack])


def _far(stack: Stack, knee: list[Stack]) -> str:
    offset = stack.centre - sum(other.centre for other in knee) / len(knee)
    axis = int(abs(offset).argmax())
    where = ("beside", "before or behind", "above or below")[axis]
    known = _frame_of_reference(stack) in map(_frame_of_reference, knee)
    return (
        f"it lies {abs(offset[axis]):.0f} mm {where} the knee's series"
        f"{'' if known else ', in another frame of reference,'} and shows another part of the body"
    )


def _cut(stacks: list[Stack], *limits: tuple[int, float]) -> list[list[Stack]]:
    """Groups of stacks that reach no farther than the limit of an axis, cut at the widest hole."""
    for axis, limit in limits:
        ordered = sorted(stacks, key=lambda stack: (stack.centre[axis], stack.number))
        places = [float(stack.centre[axis]) for stack in ordered]
        if places[-1] - places[0] > limit:
            steps = [after - before for before, after in pairwise(places)]
            at = steps.index(max(steps)) + 1
            return [part for half in (ordered[:at], ordered[at:]) for part in _cut(half, *limits)]
    return [stacks]


def _planes(stacks: list[Stack]) -> int:
    return len({stack.plane for stack in stacks})


def _the_knee(joints: list[list[Stack]], named: list[Stack]) -> list[Stack] | None:
    """The joint that is called the knee or has the most planes, with what is named elsewhere.

    Where neither tells, the joints of which a series is named: who names several knows that they
    belong together. None where that is open.
    """
    called = [joint for joint in joints if any(is_knee(stack) for stack in joint)]
    candidates = called or joints
    most = max(map(_planes, candidates))
    largest = [joint for joint in candidates if _planes(joint) == most]
    if len(largest) == 1:
        return largest[0] + [stack for stack in named if stack not in largest[0]]
    chosen = [joint for joint in joints if any(stack in named for stack in joint)]
    return [stack for joint in chosen for stack in joint] or None


def _knees(stacks: list[Stack]) -> list[list[Stack]]:
    """Stacks by knee: by where they lie across, by their side, by frames of reference."""
    return [knee for part in _cut(stacks, (0, SAME_KNEE)) for knee in _by_side(part)]


def _by_side(stacks: list[Stack]) -> list[list[Stack]]:
    """Stacks of one place by what the files say, else in two whole sets that may be two knees."""
    if len({side(stack) for stack in stacks} - {""}) > 1:
        return _grouped(stacks, side)
    sets = [_cut(stacks, (0, SAME_SET))]
    if "" in {side(stack) for stack in stacks}:
        sets.append(_grouped(stacks, _frame_of_reference))
    return next((one for one in sets if sum(_planes(part) > 1 for part in one) > 1), [stacks])


def _grouped(stacks: list[Stack], key: Callable[[Stack], Hashable]) -> list[list[Stack]]:
    groups: dict[Hashable, list[Stack]] = defaultdict(list)
    for stack in stacks:
        groups[key(stack)].append(stack)
    return list(groups.values())


def _sides(knee: list[Stack]) -> set[str]:
    return {side(stack) for stack in knee} - {""}


def _across(knee: list[Stack]) -> float:
    return float(sum(stack.centre[0] for stack in knee) / len(knee))


def _opposite(one: list[Stack], other: list[Stack]) -> bool:
    """Whether two groups are a right and a left knee, by what is said or by where they lie."""
    if len(_sides(one) | _sides(other)) > 1:
        return True
    return abs(_across(one) - _across(other)) > SAME_SET


def _other_frames(knee: list[Stack], named: list[Stack]) -> list[Stack]:
    """Stacks whose plane the frame of reference of most planes has too; they may be another knee's.

    Those of which the file says the side are this knee's, or they would not be here.
    """
    frames = _grouped(knee, _frame_of_reference)
    main = max(frames, key=_planes)
    planes = {stack.plane for stack in main}
    if len(planes) < 2:
        return []
    others = [stack for stack in knee if stack not in main and stack not in named]
    return [stack for stack in others if stack.plane in planes and not side(stack)]


def _frame_of_reference(stack: Stack) -> str:
    return stack.images[0].header.frame_of_reference


def _named_knee(knees: list[list[Stack]], named: list[Stack]) -> list[Stack] | None:
    """The one knee of which a series is named, None where none is or two are."""
    chosen = [knee for knee in knees if any(stack in named for stack in knee)]
    if not chosen or any(_opposite(one, other) for one in chosen for other in chosen):
        return None
    return [stack for knee in chosen for stack in knee]


def _names(stacks: list[Stack]) -> str:
    ordered = sorted(stacks, key=lambda stack: (stack.number, stack.name))
    return "series " + ", ".join(stack.name for stack in ordered)


def _listed(groups: list[list[Stack]]) -> str:
    return "; ".join(map(_names, groups))


def _two_knees(knees: list[list[Stack]]) -> str:
    """The sentence that names the series of each knee and what to do about them."""
    remedy = (
        "give each knee a study of its own, or name one series for each plane of one of them, as "
        f"in --prefer {knees[0][0].plane}=series:{knees[0][0].name}"
    )
    pairs = [knee for knee in knees if any(_opposite(knee, other) for other in knees)]
    if not pairs:
        return (
            f"series in {len(knees)} frames of reference ({_listed(knees)}), which may be two "
            f"knees and say no side; {remedy}"
        )
    groups: dict[str, list[Stack]] = {"right": [], "left": [], "unsaid": []}
    middle = (min(map(_across, knees)) + max(map(_across, knees))) / 2
    for knee in knees:
        apart = max(abs(_across(knee) - _across(other)) for other in knees) > SAME_SET
        right = _across(knee) < middle if apart else "R" in _sides(knee)
        known = apart or _sides(knee)
        groups["unsaid" if not known else "right" if right else "left"] += knee
    shown = [
        f"{_names(stacks)} " + (f"show the {name} one" if name != "unsaid" else "do not say which")
        for name, stacks in groups.items()
        if stacks
    ]
    return f"two knees: {'; '.join(shown)}; {remedy}"
