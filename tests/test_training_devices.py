import subprocess
import sys

import pytest
import torch
from conftest import needs_gpu, tiny_network
from torch import nn

from mrnetlib.files import InputError
from mrnetlib.settings import KEYS, Settings
from mrnetlib.training import devices, finetune


def test_unknown_precisions_and_devices_are_refused():
    with pytest.raises(InputError, match="precision is 'fp61', expected one of fp32, bf16, auto"):
        devices.autocast("fp61", torch.device("cpu"))
    with pytest.raises(InputError, match="device 'gpu': not to be had"):
        devices.choose_device("gpu")
    assert devices.choose_device("cpu").type == "cpu"


def test_auto_precision_is_bf16_only_where_the_processor_has_it(monkeypatch):
    cpu = torch.device("cpu")
    for has in (True, False):
        monkeypatch.setattr(devices, "has_bf16", lambda device, has=has: has)
        assert isinstance(devices.autocast("auto", cpu), torch.autocast) is has


@pytest.mark.parametrize("deterministic", [True, False])
def test_determinism_is_switched_as_a_whole(deterministic):
    devices.set_deterministic(deterministic)
    try:
        assert torch.are_deterministic_algorithms_enabled() is deterministic
        assert torch.backends.cudnn.deterministic is deterministic
        assert torch.backends.cudnn.benchmark is not deterministic
    finally:
        devices.set_deterministic(False)
        torch.backends.cudnn.benchmark = False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is GNU/Linux's")
def test_freed_memory_is_kept():
    """In a process of its own: asked for again, 64 MB come without new pages from the system."""
    code = (
        "import resource, torch\n"
        "from mrnetlib.training.devices import keep_freed_memory\n"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "def use():\n"
        "    before = faults()\n"
        "    torch.ones(2**24)\n"
        "    return faults() - before\n"
        "given_back = [use() for _ in range(3)][-1]\n"
        "assert keep_freed_memory()\n"
        "kept = [use() for _ in range(3)][-1]\n"
        "print(given_back, kept)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    given_back, kept = map(int, done.stdout.split())
    assert kept < given_back / 10


def test_an_unknown_way_to_compile_is_refused():
    with pytest.raises(InputError, match="compile is 'yes', expected one of none, default, gr"):
        devices.compile_backbone(nn.Identity(), "yes")
    assert KEYS["compile"].metadata["of"] == ("none", *devices.COMPILE_MODES)


def quick_training(planted, device="cpu", **changes):
    """Losses of a short training of the tiny network, and its parameters."""
    settings = Settings(
        epochs=2, learning_rate=0.01, batch_exams=3, flip=0, rotation=5, shift=8, **changes
    )
    network = tiny_network(batch_norm=True).to(device)
    banks = (planted[split].resident(torch.device(device)) for split in ("train", "tune"))
    history = finetune.fit(network, *banks, "acl", settings, progress=False)
    return history["train_loss"].to_numpy(), [p.detach().cpu() for p in network.parameters()]


def test_compiled_backbones_learn_the_same(planted, monkeypatch):
    """With a backend that only traces: no C++ compiler is needed to run the tests."""
    compiled, compile_ = [], nn.Module.compile

    def traced(self, **options):
        compiled.append((type(self), options))
        compile_(self, dynamic=options["dynamic"], backend="eager")

    monkeypatch.setattr(nn.Module, "compile", traced)
    plain, parameters = quick_training(planted)
    again, same = quick_training(planted, compile="graphs")
    assert compiled == [(nn.Sequential, {"dynamic": True, "mode": "reduce-overhead"})]
    assert plain.tolist() == again.tolist()
    assert all(torch.equal(one, other) for one, other in zip(parameters, same, strict=True))


@needs_gpu
def test_a_gpu_learns_what_the_processor_learns(planted):
    losses, parameters = quick_training(planted)
    on_gpu, others = quick_training(planted, "cuda")
    assert on_gpu == pytest.approx(losses, rel=1e-3)
    for one, other in zip(parameters, others, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3)


@needs_gpu
@pytest.mark.parametrize("mode", ["default", "graphs"])
def test_a_compiled_network_on_a_gpu_learns_the_same(planted, mode):
    losses, _ = quick_training(planted, "cuda")
    compiled, _ = quick_training(planted, "cuda", compile=mode)
    assert compiled == pytest.approx(losses, rel=1e-3)


def test_the_machine_is_set_up_for_repeatable_numbers():
    before = torch.get_num_threads()
    try:
        device = devices.use_machine(Settings(device="cpu", threads=2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert device.type == "cpu"
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
    with pytest.raises(InputError, match="device 'tpu9'"):
        devices.use_machine(Settings(device="tpu9"))
