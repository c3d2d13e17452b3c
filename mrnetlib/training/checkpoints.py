"""What a training has reached, kept in a file after every epoch so that it can go on from there."""

import hashlib
import io
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


def load_checkpoint(path: Path) -> dict:
    """Read a checkpoint; `InputError` for one that is missing or not whole."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: not found. Run notebook 02_per_plane_training first.") from None
    except Exception as error:
        raise InputError(
            f"{path}: not a whole checkpoint ({type(error).__name__}). Delete it; this training "
            "then starts again."
        ) from None


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
        saved = load_checkpoint(self.checkpoint)
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
