import pytest
import torch
from conftest import files_in, full_disk, tiny_network

from mrnetlib.files import InputError
from mrnetlib.training import checkpoints
from mrnetlib.training.checkpoints import TrainingState, fingerprint, load_checkpoint


def row(epoch, tune_loss, train_loss=0.5):
    """A row of a history."""
    content = {"epoch": epoch, "train_loss": train_loss, "tune_loss": tune_loss}
    return content | {"tune_auc": 0.5, "seconds": 1.0}


def state_of(network, checkpoint=None, patience=2, **identity):
    """A training state with Adam."""
    optimizer = torch.optim.Adam(network.parameters())
    return TrainingState(network, optimizer, patience, identity, checkpoint)


def test_a_fingerprint_tells_weights_and_names_apart():
    network = tiny_network(batch_norm=True)
    assert fingerprint(network) == fingerprint(tiny_network(batch_norm=True))
    before = fingerprint(network)
    network.backbone[1].running_mean[3] += 1e-6
    assert fingerprint(network) != before
    assert fingerprint(tiny_network(0)) != fingerprint(tiny_network(1))


def test_the_best_epoch_is_the_first_of_equals_and_its_weights_return():
    network = tiny_network()
    state = state_of(network)
    for epoch, loss in enumerate([0.7, 0.4, 0.4, 0.9], 1):
        torch.nn.init.constant_(network.head.bias, epoch)
        state.add(row(epoch, loss))
    assert state.finished(50)  # two epochs without a gain
    assert state.finish()["best"].tolist() == [0, 1, 0, 0]
    assert network.head.bias.item() == 2


def test_finished_counts_epochs_and_patience():
    state = state_of(tiny_network(), patience=2)
    assert state.finished(0)
    assert not state.finished(3)
    state.add(row(1, 0.5))
    state.add(row(2, 0.6))
    assert not state.finished(3)
    assert state.finished(2)
    state.add(row(3, 0.55))
    assert state.finished(50)


@pytest.mark.parametrize("losses", [{"tune_loss": float("nan")}, {"train_loss": float("inf")}])
def test_a_loss_that_is_no_number_is_not_kept(tmp_path, losses):
    state = state_of(tiny_network(), tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"epoch 1: .*Lower learning_rate"):
        state.add({**row(1, 0.5), **losses})
    assert files_in(tmp_path) == []


def test_only_the_best_weights_stay_in_a_finished_checkpoint(tmp_path):
    network = tiny_network()
    state = state_of(network, tmp_path / "a.pt", task="acl")
    state.add(row(1, 0.5))
    running = load_checkpoint(tmp_path / "a.pt")
    assert running["optimizer"] is not None
    state.finish()
    kept = load_checkpoint(tmp_path / "a.pt")
    assert kept["network"] is None
    assert kept["identity"] == {"task": "acl"}
    assert torch.equal(kept["best"]["head.weight"], network.head.weight)


def test_a_damaged_checkpoint_is_named_and_its_training_begins_anew(tmp_path, capsys):
    path = tmp_path / "a.pt"
    with pytest.raises(InputError, match="Run notebook 02"):
        load_checkpoint(path)
    state_of(tiny_network(), path).add(row(1, 0.5))
    whole = path.read_bytes()
    place = whole.find(tiny_network().head.weight.detach().numpy().tobytes())
    flipped = bytearray(whole)
    flipped[place] ^= 1
    for damaged in (whole[:-200], whole[: len(whole) // 2], bytes(flipped), b""):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"a\.pt: not whole, or damaged"):
            load_checkpoint(path)
        assert state_of(tiny_network(), path).rows == []
        assert "a.pt: not whole" in capsys.readouterr().out


def test_numbers_that_are_none_are_refused_by_their_name(tmp_path):
    path = tmp_path / "a.pt"
    checkpoints.save_tensors(path, {"layer": {"weight": torch.tensor([1.0, float("nan")])}})
    with pytest.raises(InputError, match=r"a\.pt: layer\.weight holds NaN or infinity\. Mend it"):
        checkpoints.read_tensors(path, "Mend it.")
    checkpoints.save_tensors(path, {"weight": torch.ones(2)})
    with pytest.raises(InputError, match="lacks best, identity"):
        load_checkpoint(path)


def test_a_full_disk_keeps_the_last_epoch(tmp_path):
    network = tiny_network()
    state = state_of(network, tmp_path / "a.pt")
    state.add(row(1, 0.5))
    with full_disk(1000), pytest.raises(InputError, match=r"a\.pt: could not be written"):
        state.add(row(2, 0.4))
    assert files_in(tmp_path) == ["a.pt"]
    assert len(state_of(network, tmp_path / "a.pt").rows) == 1


def test_no_history_is_refused():
    with pytest.raises(InputError, match="epochs"):
        state_of(tiny_network()).finish()


def test_saved_tensors_come_back(tmp_path):
    content = {"a": torch.arange(5), "b": [1, "two", None]}
    checkpoints.save_tensors(tmp_path / "a.pt", content)
    read = checkpoints.read_tensors(tmp_path / "a.pt", "")
    assert torch.equal(read["a"], content["a"])
    assert read["b"] == content["b"]


def test_epochs_between_two_saves_are_kept_in_memory_only(tmp_path):
    path = tmp_path / "network.pt"
    network = tiny_network()
    optimizer = torch.optim.Adam(network.parameters())
    state = TrainingState(network, optimizer, 2, {}, path, save_every=3600)
    state.add(row(1, 0.5))
    assert not path.exists()
    state.finish()
    assert len(load_checkpoint(path)["rows"]) == 1
