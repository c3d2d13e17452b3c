"""The files of a source put together by study, and what forbids it."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from mrnetlib.dicom.archives import SUFFIXES, File, UnreadableError
from mrnetlib.dicom.identity import Identity, identity, several_people
from mrnetlib.dicom.sources import Lost, Walk, heads, told

#: From so many files on, a folder in which every file has a study of its own is no coincidence.
_FEW = 3

#: Shorter series UIDs are numbers that an anonymizer gave, the same in every study.
_UNIQUE = 16


@dataclass
class Gathered:
    """The files of a source by study, in the order of their first files.

    ``studies`` by StudyInstanceUID, or by ``folder ...`` where files do not name one; ``refused``,
    why some of them are not examined; ``faults``, what is wrong with others all the same;
    ``kin``, what parts of one exam share; ``lost``, what of the source cannot be laid to any one
    study; ``others`` and ``copies``, how many files are not DICOM and how many came before,
    byte for byte.
    """

    studies: dict[str, list[File]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    kin: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    lost: list[str] = field(default_factory=list)
    others: int = 0
    copies: int = 0


def gather(source: Path, walk: Walk | None = None) -> Gathered:
    """Put the files of a source together by study, wherever they lie.

    Files that are DICOM but do not say their study go to the study of their folder, or of the one
    around it, where that has one only.

    Raises
    ------
    InputError
        Where the source itself cannot be read.
    """
    source, walk = Path(source), walk or Walk()
    gathered, people = Gathered(), defaultdict(Counter)
    series, folders = defaultdict(set), defaultdict(Counter)
    unnamed: list[tuple[File, Identity, bool]] = []
    starts: dict[int, File] = {}
    for file, head in heads(source, walk):
        said = identity(file, head)
        if said and said.study and _same(file, starts.setdefault(hash(head), file)):
            gathered.copies += 1
        elif said is None:
            gathered.others += 1
        elif not said.study:
            empty = head == b"" and not file.name.lower().endswith(SUFFIXES)
            unnamed.append((file, said, empty))
        else:
            gathered.studies.setdefault(said.study, []).append(file)
            gathered.kin[said.study].update(_kin(said))
            people[said.study][said.patient] += 1
            folder = file.folder
            for place in {folder, said.frame_of_reference or folder}:
                series[place, said.series].add(said.study)
            folders[folder][said.study] += not said.many_frames
    around = _around(folders, source)
    for file, said, empty in unnamed:
        key = _sole(file.folder, around, str(source)) or f"folder {file.folder}"
        if empty and key.startswith("folder "):
            gathered.others += 1  # nothing says that it was to be an image
            continue
        gathered.studies.setdefault(key, []).append(file)
        gathered.kin[key].update(_kin(said))
        people[key][said.patient] += 1
        if said.series and key.startswith("folder "):
            gathered.faults[key] = ["it names no study; its files were put together by folder"]
    _lay_losses(gathered, walk.lost, around)
    _refuse_scattered(gathered, folders, source)
    _refuse_shared(gathered, series)
    for key in gathered.studies:
        if reason := several_people(people[key]):
            gathered.refused.setdefault(key, reason)
    return gathered


def _same(file: File, other: File) -> bool:
    """Whether a file is a copy of another, as where an archive lies beside what was in it."""
    if file is other:
        return False
    try:
        with file.open() as one, other.open() as two:
            return one.read() == two.read()
    except UnreadableError:
        return False


def _kin(said: Identity) -> set[str]:
    found = {f"frame {said.frame_of_reference}", f"patient {said.patient[1]}"}
    return {one for one in found if not one.endswith(" ")}


def _around(folders: dict[str, Counter], source: Path) -> dict[str, set[str]]:
    """The studies in and below every folder that has any."""
    found = defaultdict(set)
    for folder, studies in folders.items():
        for place in (Path(folder), *Path(folder).parents):
            found[str(place)].update(studies)
            if place == source:
                break
    return found


def _sole(folder: str, around: dict[str, set[str]], top: str = "") -> str | None:
    """The only study in and below a folder, or else around it below `top`; None for several."""
    for place in map(str, (Path(folder), *Path(folder).parents)):
        if place == top and place != folder:
            return None
        if studies := around.get(place):
            return next(iter(studies)) if len(studies) == 1 else None
    return None


def _lay_losses(gathered: Gathered, lost: list[Lost], around: dict[str, set[str]]) -> None:
    """Lay what could not be looked into to the study that it lies in, or to none."""
    by_study = defaultdict(list)
    for one in lost:
        by_study[_sole(str(Path(one.folder)), around)].append(one)
    gathered.lost = told(by_study.pop(None, []))
    for study, those in by_study.items():
        gathered.faults[study] += [f"in its folder, {sentence}" for sentence in told(those)]


def _refuse_scattered(gathered: Gathered, folders: dict[str, Counter], source: Path) -> None:
    """Refuse folders in which (nearly) every image has a study of its own."""
    groups = defaultdict(Counter)
    for folder, studies in folders.items():
        alone = sum(studies.values()) == 1 and Path(folder) != source
        groups[str(Path(folder).parent) if alone else folder].update(studies)
    for folder, studies in groups.items():
        images = sum(studies.values())
        single = [uid for uid, count in studies.items() if count]
        if images < _FEW or images - len(single) > images // 10:
            continue
        key = f"folder {folder}"
        files = [file for uid in single for file in gathered.studies.pop(uid, [])]
        gathered.studies.setdefault(key, []).extend(files)
        gathered.refused[key] = (
            f"its {images} images name {len(single)} studies, nearly every one another: an "
            "anonymizer gave each file a StudyInstanceUID of its own, so it cannot be told which "
            "belong together; anonymize it again with UIDs kept alike within a study"
        )


def _refuse_shared(gathered: Gathered, series: dict[tuple[str, str], set[str]]) -> None:
    """Refuse studies that share a series with another one in a folder or frame of reference."""
    for (_, uid), those in series.items():
        if len(uid) < _UNIQUE or len(those) < 2:
            continue
        for study in those & set(gathered.studies):
            gathered.refused[study] = (
                f"files of one of its series name {len(those)} studies, so parts of it lie in "
                "others, or it came twice; give every series one StudyInstanceUID, or leave one out"
            )
