"""What a training has reached, kept in a file after every epoch so that it can go on from there."""

import hashlib
import io
import zipfile
from pathlib import Path
from time import monotonic

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from mrnetlib.exams import banks
from mrnetlib.files import InputError, code_digest, written_whole

#: SHA-256 of what this package and the reading of banks do: what another one has trained is not
#: taken for its own. Computed at the import, for files may change while a notebook goes on.
CODE = code_digest(Path(__file__).parent, Path(banks.__file__))

#: What a checkpoint holds.
PARTS = {"identity", "rows", "best", "network", "optimizer"}


def fingerprint(network: nn.Module) -> str:
    """SHA-256 of a network's weights: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_tensors(path: Path, content: dict) -> None:
    """Save tensors and plain values whole or not at all.

    They go through memory, because torch's own writer hides a full disk in a RuntimeError.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with written_whole(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_tensors(path: Path, remedy: str) -> dict:
    """What a file of tensors holds, every byte of it checked.

    The sum that torch writes beside each part, and does not look at again, has to fit, and every
    number has to be finite.

    Parameters
    ----------
    remedy : what to do about a file that cannot be used: a sentence.

    Raises
    ------
    InputError
        For a file that is missing, not whole, damaged, no dict, or holds NaN or infinity.
    """
    try:
        if zipfile.is_zipfile(path):  # torch's older format has no sums
            with zipfile.ZipFile(path) as parts:
                odd = parts.testzip()
            if odd:
                raise ValueError(f"its part {odd} does not fit its checksum")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: not found. {remedy}") from None
    except Exception as error:
        why = type(error).__name__ + (f": {str(error).splitlines()[0]}" if str(error) else "")
        raise InputError(f"{path}: not whole, or damaged ({why[:200]}). {remedy}") from None
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise InputError(f"{path}: holds a {kind}, expected a dict of tensors. {remedy}")
    name = _not_finite(content)
    if name:
        raise InputError(f"{path}: {name} holds NaN or infinity. {remedy}")
    return content


def _not_finite(content: dict, inside: str = "") -> str | None:
    """The name of the first tensor, at any depth, that holds NaN or infinity."""
    for key, value in content.items():
        name = f"{inside}{key}"
        if isinstance(value, dict):
            found = _not_finite(value, f"{name}.")
            if found:
                return found
        elif isinstance(value, Tensor) and value.is_floating_point() and not value.isfinite().all():
            return name
    return None


def load_checkpoint(path: Path) -> dict:
    """Read a checkpoint; `InputError` for one that is missing, not whole, or not a training's."""
    missing = not Path(path).is_file()
    remedy = "Run notebook 02_per_plane_training" + (" first." if missing else ": it starts again.")
    content = read_tensors(path, remedy)
    if not content.keys() >= PARTS:
        raise InputError(f"{path}: lacks {', '.join(sorted(PARTS - content.keys()))}. {remedy}")
    return content


class TrainingState:
    """The history and the best weights of a training, and the file that keeps them.

    Parameters
    ----------
    patience : epochs without a lower tuning loss after which the training is finished.
    identity : what makes this training this one; a checkpoint of another one is not used.
    checkpoint : the file, or None to keep nothing.
    save_every : seconds that pass at least between two saved epochs; the end is always saved.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        patience: int,
        identity: dict,
        checkpoint: Path | None,
        save_every: float = 0.0,
    ):
        self.network, self.optimizer = network, optimizer
        self.patience, self.identity, self.checkpoint = patience, identity, checkpoint
        self.save_every, self.saved_at = save_every, monotonic()
        self.rows: list[dict] = []
        self.best: dict[str, Tensor] = {}
        if checkpoint is not None and Path(checkpoint).is_file():
            self._resume()

    def _resume(self) -> None:
        try:
            saved = load_checkpoint(self.checkpoint)
        except InputError as reason:
            print(f"{reason} Begun anew")
            return
        if saved["identity"] != self.identity:
            print(f"{Path(self.checkpoint).name}: of another training, begun anew")
            return
        self.rows, self.best = saved["rows"], saved["best"]
        if saved["optimizer"] is not None:  # left out once the training is finished
            self.network.load_state_dict(saved["network"])
            self.optimizer.load_state_dict(saved["optimizer"])

    def best_epoch(self) -> int:
        """The epoch with the lowest loss on the tuning exams, the first of equals."""
        return min(self.rows, key=lambda row: row["tune_loss"])["epoch"]

    def finished(self, epochs: int) -> bool:
        """Whether all epochs are done or the tuning loss has not fallen for long enough."""
        done = len(self.rows)
        return done >= epochs or (done > 0 and done - self.best_epoch() >= self.patience)

    def add(self, row: dict) -> None:
        """Note an epoch, keep its weights if they are the best so far, and save everything.

        `row` has the keys epoch, train_loss, tune_loss, tune_auc and seconds.
        """
        if not np.isfinite([row["train_loss"], row["tune_loss"]]).all():
            raise InputError(
                f"epoch {row['epoch']}: the training loss is {row['train_loss']}, the tuning loss "
                f"{row['tune_loss']}. Lower learning_rate."
            )
        self.rows.append(row)
        if self.best_epoch() == row["epoch"]:
            state = self.network.state_dict()
            self.best = {name: value.detach().cpu().clone() for name, value in state.items()}
        if monotonic() - self.saved_at >= self.save_every:
            networks = {"network": self.network.state_dict()}
            self._save(networks | {"optimizer": self.optimizer.state_dict()})
            self.saved_at = monotonic()

    def _save(self, running: dict) -> None:
        if self.checkpoint is None:
            return
        content = {"identity": self.identity, "rows": self.rows, "best": self.best, **running}
        save_tensors(self.checkpoint, content)

    def finish(self) -> pd.DataFrame:
        """Load the best weights into the network, keep only them, and return the history."""
        if not self.rows:
            raise InputError("epochs is 0: nothing was trained. Set epochs to 1 or more.")
        self.network.load_state_dict(self.best)
        self._save({"network": None, "optimizer": None})
        history = pd.DataFrame(self.rows)
        history["best"] = (history["epoch"] == self.best_epoch()).astype(int)
        return history
