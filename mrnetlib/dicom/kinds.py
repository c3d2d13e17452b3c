"""What a series shows, from its image type and the whole words of its description.

Letters inside a word say nothing: FSE is no fat saturation. An image type or a description may
read ``SW_P_FFE``, ``InPhase`` or ``t1_vibe_dixon_W``; all are taken apart into words first.
"""

import re
from functools import lru_cache

#: Kinds of image of a Dixon acquisition, the one that is taken before the others first.
WATER, IN_PHASE, OUT_OF_PHASE, FAT = "water", "in-phase", "out-of-phase", "fat"

#: Parts of a complex image other than its magnitude, as ComplexImageComponent names them.
NOT_MAGNITUDE = {"PHASE", "REAL", "IMAGINARY", "MIXED"}

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[^\W_]+")

_NO_SUPPRESSION = re.compile(
    r"\b(NO|NON|NOT|WITHOUT|WO|W O|OHNE|SANS|SIN)( ANY)? (FS|FATSAT|FAT (SAT|SUP)\w*)\b"
)
_SUPPRESSION = re.compile(
    r"\b((PD|T[12])?W?FS|FSAT|FATSAT\w*|FATSUP\w*|FAT (SAT|SUP)\w*|STIR|TIRM|SPIR|SPAIR|PROSET"
    r"|CHESS|CHEM ?SAT|WATER (EXC|SEL)\w*|WE)\b"
)

_NOT_DIXON = r"(?<!\bIN )(?<!OUT )(?<!\bOF )(?<!OPP )(?<!OPPOSED )(?<!OPPOSITE )"
_SEQUENCES = "SE|FFE|FE|TFE|GRE|GR|IR|TIR|TSE|FSE|PCA|EPI"
_COMPLEX = re.compile(
    rf"((\w+ )?[PRI]( ({_SEQUENCES}))?)"
    rf"|.*{_NOT_DIXON}\b(PHASE|REAL|IMAG|IMAGINARY|VELOCITY)\b.*"
)

_PHASE_WORDS = re.compile(rf"{_NOT_DIXON}\b(PHA|PHASE( (IMAGES?|MAPS?))?$|PHASE (IMAGES?|MAPS?))\b")

_TYPES = {
    WATER: re.compile(r"(DIXON |IDEAL )?(W|WATER)( ONLY| IMAGE)?"),
    IN_PHASE: re.compile(r"(DIXON |IDEAL )?(IP|IN|IN ?PHASE)( IMAGE)?"),
    OUT_OF_PHASE: re.compile(
        r"(DIXON |IDEAL )?(OP|OPP|OOP|OUT|(OUT|OPP|OPPOSED|OPPOSITE) ?(OF )?PHASE)( IMAGE)?"
    ),
    FAT: re.compile(r"(DIXON |IDEAL )?(F|FAT)( ONLY| IMAGE)?"),
}
_WORDS = {
    WATER: re.compile(r"\bWATER\b(?! (EXC|SEL|SAT|SUP)\w*)"),
    IN_PHASE: re.compile(r"\bIN ?PHASE\b"),
    OUT_OF_PHASE: re.compile(r"\b(OOP|(OUT|OPP|OPPOSED|OPPOSITE) ?(OF )?PHASE)\b"),
    FAT: re.compile(r"\bFAT\b(?! (SAT|SUP|SEP|FRAC|EXC|FREE)\w*)"),
}
_DIXON = re.compile(r"\b(M?DIXON|IDEAL|FLEX)\b")
_LAST_WORD = {
    **{"W": WATER, "F": FAT, "IN": IN_PHASE, "IP": IN_PHASE},
    **{"OPP": OUT_OF_PHASE, "OUT": OUT_OF_PHASE, "OP": OUT_OF_PHASE},
}


@lru_cache(4096)
def said(text: str) -> str:
    """A text's words in capitals with single blanks between: ``InPhase_tra`` is IN PHASE TRA."""
    return " ".join(_WORD.findall(_CAMEL.sub(" ", text))).upper()


@lru_cache(1024)
def is_complex_part(image_type: tuple[str, ...]) -> bool:
    """Whether an image type names phase, real, imaginary or velocity, not the magnitude."""
    return any(_COMPLEX.fullmatch(said(value)) for value in image_type[2:])


@lru_cache(4096)
def dixon(image_type: tuple[str, ...], *descriptions: str) -> str:
    """Which image of a Dixon acquisition this is, "" where it is none or nothing tells.

    The image type counts before the descriptions, of those the earlier before the later; one that
    names two kinds names none.
    """
    values = [said(value) for value in image_type[2:]]
    kinds = {kind for kind, words in _TYPES.items() if any(map(words.fullmatch, values))}
    if len(kinds) == 1:
        return kinds.pop()
    for description in map(said, descriptions):
        kinds = {kind for kind, words in _WORDS.items() if words.search(description)}
        last = description.rpartition(" ")[2]
        if not kinds and _DIXON.search(description) and last in _LAST_WORD:
            kinds = {_LAST_WORD[last]}
        if len(kinds) == 1:
            return kinds.pop()
    return ""


@lru_cache(1024)
def says_fat_suppression(text: str) -> bool:
    """Whether scan options, a sequence's name or a description name suppression of fat."""
    return bool(_SUPPRESSION.search(_NO_SUPPRESSION.sub("", said(text))))


@lru_cache(1024)
def says_phase(description: str) -> bool:
    """Whether a description speaks of a phase image; the direction of a phase is none."""
    return bool(_PHASE_WORDS.search(said(description)))
