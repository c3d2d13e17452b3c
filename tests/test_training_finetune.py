import copy
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import tiny_network
from torch.nn import functional

from mrnetlib.evaluation.roc import auc
from mrnetlib.exams.banks import ExamBank
from mrnetlib.files import InputError
from mrnetlib.settings import Settings
from mrnetlib.training import checkpoints, devices, finetune, predict
from mrnetlib.training.checkpoints import fingerprint

#: Small shifts leave the planted squares in sight; 16 pixels stand for 256.
GENTLE = {"flip": 0, "rotation": 5, "shift": 8}
QUICK = Settings(epochs=4, learning_rate=0.02, weight_decay=1e-4, batch_exams=5, **GENTLE)


def changed(**changes):
    """`QUICK` with other values."""
    return replace(QUICK, **changes)


def trained(planted, settings=QUICK, task="acl", checkpoint=None, **network):
    """A fresh tiny network after `fit`, and the history."""
    model = tiny_network(**network)
    banks = planted["train"], planted["tune"]
    return model, finetune.fit(model, *banks, task, settings, checkpoint, progress=False)


@pytest.mark.parametrize("task", ["abnormal", "acl", "meniscus"])
def test_the_planted_signal_is_found(planted, task):
    network, history = trained(planted, changed(epochs=15, patience=15), task)
    assert history["train_loss"].iloc[-1] < 0.5 * history["train_loss"].iloc[0]
    assert history.loc[history["best"] == 1, "tune_auc"].item() > 0.9
    test = planted["test"]
    assert auc(test.labels[task].to_numpy(), predict.predict(network, test)) > 0.9


def test_no_signal_is_found_where_none_was_planted(planted):
    """Labels dealt out anew: the exams are learned by heart at best, the tuning exams stay luck."""
    bank = planted["train"]
    labels = bank.labels.sample(frac=1, random_state=0).set_axis(bank.labels.index)
    shuffled = type(bank)(**{**vars(bank), "labels": labels})
    network = tiny_network()
    finetune.fit(network, shuffled, planted["tune"], "acl", QUICK, progress=False)
    assert auc(planted["test"].labels["acl"], predict.predict(network, planted["test"])) < 0.9


def test_the_same_seed_gives_the_same_bits(planted):
    first, again, other = (
        trained(planted, changed(seed=seed), batch_norm=True, dropout=0.3) for seed in (7, 7, 8)
    )
    columns = ["train_loss", "tune_loss", "tune_auc", "best"]
    assert fingerprint(first[0]) == fingerprint(again[0]) != fingerprint(other[0])
    assert first[1][columns].equals(again[1][columns])
    predictions = [predict.predict(network, planted["test"]) for network, _ in (first, again)]
    assert predictions[0].tobytes() == predictions[1].tobytes()


def test_other_random_numbers_in_between_change_nothing(planted):
    first, _ = trained(planted)
    network = tiny_network()
    torch.manual_seed(99)
    np.random.default_rng(3).random()
    finetune.fit(network, planted["train"], planted["tune"], "acl", QUICK, progress=False)
    assert fingerprint(network) == fingerprint(first)


def test_the_rate_is_constant_or_rises_and_falls_to_zero():
    shares = np.linspace(0, 1, 41)[1:]
    assert {finetune.rate_at(QUICK, share) for share in shares} == {QUICK.learning_rate}
    cosine = changed(schedule="cosine")
    rates = [finetune.rate_at(cosine, share) / cosine.learning_rate for share in shares]
    highest = int(np.argmax(rates))
    assert shares[highest] == pytest.approx(0.1) and rates[highest] > 0.9
    assert (np.diff(rates[: highest + 1]) > 0).all() and (np.diff(rates[highest:]) < 0).all()
    assert rates[-1] == 0 and finetune.rate_at(cosine, 0.5) == pytest.approx(0.5 * 0.02)


def test_every_step_has_the_rate_of_its_place_also_when_resumed(planted, tmp_path, monkeypatch):
    settings, rate_at, seen = changed(schedule="cosine"), finetune.rate_at, []
    last = []  # the step after which the power is cut

    def noted(settings, done):
        if len(seen) in last:
            raise RuntimeError("power cut")
        seen.append(rate_at(settings, done))
        return seen[-1]

    monkeypatch.setattr(finetune, "rate_at", noted)
    trained(planted, settings)
    whole = list(seen)
    places = np.arange(1, len(whole) + 1) / len(whole)
    assert whole == pytest.approx([rate_at(settings, place) for place in places], abs=1e-12)
    seen.clear()
    last.append(len(whole) // settings.epochs)
    with pytest.raises(RuntimeError, match="power cut"):
        trained(planted, settings, checkpoint=tmp_path / "a.pt")
    last.clear()
    trained(planted, settings, checkpoint=tmp_path / "a.pt")
    assert seen == whole and seen[-1] == 0


@pytest.mark.parametrize("epochs_before", [1, 3])
def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(
    planted, tmp_path, monkeypatch, epochs_before
):
    options = {"batch_norm": True, "dropout": 0.3}
    whole, history = trained(planted, **options)

    class PowerCut(Exception):
        pass

    def cut(*arguments):
        if arguments[5] > epochs_before:  # the epoch
            raise PowerCut
        return train_epoch(*arguments)

    train_epoch = finetune.train_epoch
    monkeypatch.setattr(finetune, "train_epoch", cut)
    with pytest.raises(PowerCut):
        trained(planted, checkpoint=tmp_path / "a.pt", **options)
    monkeypatch.setattr(finetune, "train_epoch", train_epoch)
    done = len(checkpoints.load_checkpoint(tmp_path / "a.pt")["rows"])
    assert done == epochs_before
    resumed, again = trained(planted, checkpoint=tmp_path / "a.pt", **options)
    assert fingerprint(resumed) == fingerprint(whole)
    assert again.drop(columns="seconds").equals(history.drop(columns="seconds"))


def test_a_finished_training_is_not_repeated(planted, tmp_path, monkeypatch):
    first, history = trained(planted, checkpoint=tmp_path / "a.pt")
    monkeypatch.setattr(finetune, "train_epoch", None)
    again, same = trained(planted, checkpoint=tmp_path / "a.pt")
    assert fingerprint(again) == fingerprint(first)
    assert same.equals(history)


@pytest.mark.parametrize(
    "other", [{"settings": changed(seed=1)}, {"task": "meniscus"}, {"seed": 4}]
)
def test_a_checkpoint_of_another_training_is_not_used(planted, tmp_path, capsys, other):
    trained(planted, checkpoint=tmp_path / "a.pt")
    network, _ = trained(planted, checkpoint=tmp_path / "a.pt", **other)
    assert "a.pt: of another training" in capsys.readouterr().out
    assert fingerprint(network) == fingerprint(trained(planted, **other)[0])


def test_a_checkpoint_of_other_arithmetic_is_not_used(planted, tmp_path, capsys, monkeypatch):
    trained(planted, checkpoint=tmp_path / "a.pt")
    trained(planted, changed(precision="bf16"), checkpoint=tmp_path / "a.pt")
    assert "a.pt: of another training" in capsys.readouterr().out
    trained(planted, changed(precision="auto"), checkpoint=tmp_path / "b.pt")
    has = devices.has_bf16(torch.device("cpu"))
    monkeypatch.setattr(devices, "has_bf16", lambda device: not has)
    trained(planted, changed(precision="auto"), checkpoint=tmp_path / "b.pt")
    assert "b.pt: of another training" in capsys.readouterr().out


def test_a_checkpoint_of_other_code_is_not_used(planted, tmp_path, capsys, monkeypatch):
    """A reader changes the loss and runs notebook 02 by hand: the networks are trained anew."""
    trained(planted, checkpoint=tmp_path / "a.pt")
    monkeypatch.setattr(finetune, "CODE", "another loss")
    trained(planted, checkpoint=tmp_path / "a.pt")
    assert "a.pt: of another training, begun anew" in capsys.readouterr().out


def test_training_stops_when_the_tuning_loss_no_longer_falls(planted, monkeypatch):
    losses = iter([0.9, 0.5, 0.7, 0.6, 0.8, 0.1, 0.1])
    monkeypatch.setattr(finetune, "loss_of", planned_losses(losses))
    _, history = trained(planted, changed(epochs=7, patience=3))
    assert len(history) == 5
    assert history["best"].tolist() == [0, 1, 0, 0, 0]
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5]


def planned_losses(losses):
    """`loss_of` that gives the next of `losses` for the tuning exams (they need no gradient)."""
    loss_of = finetune.loss_of

    def planned(logits, labels, weights):
        if logits.requires_grad:
            return loss_of(logits, labels, weights)
        return torch.tensor(next(losses))

    return planned


def test_the_best_epochs_weights_are_kept(planted):
    network, history = trained(planted, changed(epochs=6, learning_rate=0.1))
    best = history.loc[history["best"] == 1].iloc[0]
    tune = planted["tune"]
    logits = torch.logit(torch.from_numpy(predict.predict(network, tune)))
    labels = torch.tensor(tune.labels["acl"].to_numpy(), dtype=torch.float32)
    weights = finetune.class_weights(planted["train"].labels["acl"])
    assert finetune.loss_of(logits, labels, weights).item() == pytest.approx(best["tune_loss"])
    assert best["tune_loss"] == history["tune_loss"].min()


def test_every_parameter_is_updated(planted):
    before = tiny_network(batch_norm=True)
    after, _ = trained(planted, changed(epochs=1), batch_norm=True)
    for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True):
        assert not torch.equal(old, new), name


def test_an_epoch_visits_every_exam_once_in_a_new_order(planted):
    seen = []
    bank = planted["train"]

    class Spy(type(bank)):
        def batch(self, indices, task):
            seen.append(indices.tolist())
            return super().batch(indices, task)

    spy, network = Spy(**vars(bank)), tiny_network()
    optimizer = torch.optim.Adam(network.parameters())
    for epoch in (1, 2):
        finetune.train_epoch(network, optimizer, spy, "acl", changed(batch_exams=4), epoch)
    orders = [list(itertools.chain(*steps)) for steps in (seen[:8], seen[8:])]
    assert [len(step) for step in seen[:8]] == [4] * 7 + [2]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(30))
    assert orders[0] != orders[1]


def test_one_step_of_packed_exams_is_the_mean_of_its_exams(planted):
    """Without batch norm, a step on three exams has the mean gradient of three steps on one."""
    bank, weights = planted["train"], (0.4, 0.6)
    network = tiny_network()
    batch = bank.batch([0, 2, 5], "acl")
    finetune.loss_of(network(batch.slices, batch.lengths), batch.labels, weights).backward()
    together = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    for index in (0, 2, 5):
        one = bank.batch([index], "acl")
        loss = finetune.loss_of(network(one.slices, one.lengths), one.labels, weights)
        (loss / 3).backward()
    for packed, parameter in zip(together, network.parameters(), strict=True):
        torch.testing.assert_close(packed, parameter.grad, rtol=1e-4, atol=1e-7)


def test_both_classes_weigh_the_same_in_the_loss():
    labels = torch.tensor([1.0, 0, 0, 0])
    weights = finetune.class_weights(labels.numpy())
    assert weights == (0.25, 0.75)
    loss = finetune.loss_of(torch.zeros(4), labels, weights)
    assert loss.item() == pytest.approx((0.75 + 3 * 0.25) * np.log(2) / 4)
    plain = functional.binary_cross_entropy_with_logits(torch.ones(4), labels, reduction="none")
    wanted = (0.75 * plain[0] + 0.25 * plain[1:].sum()) / 4
    assert finetune.loss_of(torch.ones(4), labels, weights).item() == pytest.approx(wanted.item())


def test_one_class_alone_cannot_be_learned():
    with pytest.raises(InputError, match="all 5 exams have the label 1"):
        finetune.class_weights(np.ones(5))


def test_a_training_that_diverges_is_one_clear_error(planted, tmp_path):
    said = r"epoch \d+, step \d+ of \d+: .* sagittal exam\(s\) \d{4}.*\. Lower learning_rate"
    with pytest.raises(InputError, match=said):
        trained(planted, changed(learning_rate=1e30), checkpoint=tmp_path / "a.pt")


def test_no_epochs_are_refused(planted):
    with pytest.raises(InputError, match="epochs"):
        trained(planted, changed(epochs=0))


def test_bf16_agrees_with_fp32(planted):
    network, _ = trained(planted, changed(epochs=8))
    exact, short = (predict.predict(network, planted["test"], p) for p in ("fp32", "bf16"))
    assert not np.array_equal(exact, short)
    assert np.abs(exact - short).max() < 0.05
    assert len(np.unique(short)) == len(np.unique(exact)), "bf16 must not make exams tie"
    in_bf16, _ = trained(planted, changed(epochs=8, precision="bf16"))
    labels = planted["test"].labels["acl"]
    assert auc(labels, predict.predict(in_bf16, planted["test"], "bf16")) > 0.9


def test_seeds_are_the_same_on_every_machine():
    assert finetune.seed_of("epoch", 0, 1) == 8723201335727947005
    assert finetune.seed_of("epoch", 0, 1) != finetune.seed_of("epoch", 0, 2)


def test_fitting_leaves_the_starting_weights_of_others_alone(planted):
    """The nine networks of an architecture start from copies of one backbone."""
    network = tiny_network()
    backbone = copy.deepcopy(network.backbone)
    before = fingerprint(backbone)
    finetune.fit(network, planted["train"], planted["tune"], "acl", QUICK, progress=False)
    assert fingerprint(backbone) == before != fingerprint(network.backbone)


def test_tuning_exams_of_one_class_are_refused_before_training(planted):
    tune = planted["tune"]
    labels = tune.labels.assign(acl=0)
    one_class = ExamBank(**{**vars(tune), "labels": labels})
    with pytest.raises(
        InputError, match="tune exams, sagittal: all 10 have the same label for acl"
    ):
        finetune.fit(tiny_network(), planted["train"], one_class, "acl", Settings())


def test_a_mended_label_is_another_training(planted, tmp_path):
    train, tune = planted["train"], planted["tune"]
    settings = Settings(epochs=1)
    path = tmp_path / "network.pt"
    finetune.fit(tiny_network(), train, tune, "acl", settings, path, progress=False)
    before = torch.load(path, weights_only=True)["identity"]
    labels = train.labels.copy()
    labels.iloc[0, labels.columns.get_loc("acl")] = 1 - labels["acl"].iloc[0]
    mended = ExamBank(**{**vars(train), "labels": labels})
    finetune.fit(tiny_network(), mended, tune, "acl", settings, path, progress=False)
    after = torch.load(path, weights_only=True)["identity"]
    assert before["exams"][0] != after["exams"][0]
    assert before["exams"][1] == after["exams"][1]
