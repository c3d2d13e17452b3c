"""What files say of the body: which side, and whether the joint is the knee."""

import re

from mrnetlib.dicom.kinds import said
from mrnetlib.dicom.stacks import Stack

_KNEE = re.compile(r"\b([RL]?KNEES?|KNIE\w*|GENOUX?|RODILLAS?|GINOCCHIO|PATELLA)\b")
_OTHER_JOINT = re.compile(
    r"\b(HIPS?|HUEFTE|HÜFTE|HANCHE|CADERA|PELVIS|BECKEN|ANKLES?|OSG|CHEVILLE|TOBILLO|FOOT|FUSS"
    r"|SHOULDERS?|ELBOWS?|WRISTS?|HANDS?|HEAD|BRAIN|SKULL|NECK|[CTL]?SPINE|CHEST|ABDOMEN|PROSTATE)\b"
)
_RIGHT = re.compile(
    r"\b(RIGHT|RT|RE|RECHTS|DROITE?|DERECH[AO]|R ?(KNEE|KNIE)|(KNEE|KNIE) R|R$)(?!\w)"
)
_LEFT = re.compile(
    r"\b(LEFT|LT|LI|LINKS|GAUCHE|IZQUIERD[AO]|L ?(KNEE|KNIE)|(KNEE|KNIE) L|L$)(?!\w)"
)


def side(stack: Stack) -> str:
    """R or L, B for both, "" where nothing says it: by the file's attributes, else its words."""
    sides = {image.side for image in stack.images} - {""}
    if sides:
        return sides.pop() if len(sides) == 1 else "B"
    header = stack.images[0].header
    for words in map(said, (header.title, header.description, header.extras.body_part)):
        right, left = bool(_RIGHT.search(words)), bool(_LEFT.search(words))
        if right != left:
            return "R" if right else "L"
    return ""


def is_knee(stack: Stack, by_part: bool = False) -> bool | None:
    """Whether words name the knee (True) or another joint (False); None where none does.

    A description is written for each series; the part of the body is often written once for all
    of them, and counts first only where it differs between them (`by_part`).
    """
    header = stack.images[0].header
    sources = [header.title, header.description, header.extras.body_part]
    for words in map(said, sources[::-1] if by_part else sources):
        if _KNEE.search(words):
            return True
        if _OTHER_JOINT.search(words):
            return False
    return None
