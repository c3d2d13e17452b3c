"""Keep a finished run's results as those that later runs are compared with.

``python -m mrnetlib keep STUDY`` copies ``data/<study>/results/`` to ``results/<study>/``. Executed
notebooks, large and the same as the figures and tables, stay where they are; what benchmarks wrote
to ``results/<study>/`` stays, and so do kept choices and other extras where this run has none. Of
the trained networks, which are large, those that ``keep_models`` names are copied.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mrnetlib.chain import rounds
from mrnetlib.evaluation.verify import MODELS, STUDY, names_in, rule_of
from mrnetlib.files import InputError, for_everyone
from mrnetlib.study import Study, is_taken, wanted_of_parents


def is_finished(study: Study, extra: str | None = None) -> bool:
    """Whether the chain finds nothing to do for a study, or for one of `mrnetlib.names.EXTRAS`, and
    for what it takes over: nothing is missing, and all was made from today's settings, code,
    versions and files."""
    parents = [rounds.plan(parent, (), files) for parent, files, _ in wanted_of_parents(study)]
    own = rounds.plan(study, [extra] if extra else [])
    return is_taken(study) and not any([own, *parents])


def keep(study: Study, extras: Sequence[str] = ()) -> dict[str, list[str]]:
    """Replace the kept results by those of a run, all at once.

    Parameters
    ----------
    extras : those of `mrnetlib.names.EXTRAS` that are finished and kept, too.

    Returns
    -------
    The names of the files that are now ``new``, ``changed``, ``removed`` and ``as before``.

    Raises
    ------
    InputError
        For a file that no rule of `mrnetlib.evaluation.verify` knows, and where something cannot
        be written; what was kept before is then left as it was.
    """
    kinds = (STUDY, MODELS, *extras)
    ours = {n for n in names_in(study.results) if rule_of(n, study.results).made_by in kinds}
    ours -= set(models_left(study))
    kept = names_in(study.reference) if study.reference.is_dir() else set()
    stay = {name for name in kept if rule_of(name, study.reference).made_by not in kinds}
    changes = {"new": [], "changed": [], "removed": sorted(kept - ours - stay), "as before": []}
    with replaced(study.reference) as folder:
        for source, names in ((study.reference, stay), (study.results, ours)):
            for name in sorted(names):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / name, folder / name)
        for name in sorted(ours):
            same = name in kept and _same(study.reference / name, folder / name)
            changes["new" if name not in kept else "as before" if same else "changed"].append(name)
    return changes


def models_left(study: Study) -> list[str]:
    """The files of trained networks that are not kept: but for ``keep_models``', first seed."""
    settings = study.settings
    kept = {
        f"models/{name}/{settings.seeds_of(name)[0]}"
        for name in settings.keep_models
        if name in settings.architectures
    }
    found = names_in(study.results) if study.results.is_dir() else ()
    of_models = [name for name in found if rule_of(name, study.results).made_by == MODELS]
    return sorted(name for name in of_models if name.rpartition("/")[0] not in kept)


def _same(first: Path, second: Path) -> bool:
    return first.read_bytes() == second.read_bytes()


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Give a new folder that takes the place of another one when the block succeeds."""
    new = old = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        yield new
        for_everyone(new, 0o777)
        if folder.exists():
            old = folder.rename(new.with_name(f"{new.name}-old"))
        new.rename(folder)
    except OSError as error:
        raise InputError(
            f"{folder}: could not be written ({error.strerror or error}); it is as it was. Free "
            "some space or mend its permissions, and run it again."
        ) from error
    finally:
        if old is not None and not folder.exists():
            old.rename(folder)
        for rest in (new, old):
            if rest is not None:
                shutil.rmtree(rest, ignore_errors=True)
