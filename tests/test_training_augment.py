import pytest
import torch

from mrnetlib.settings import Settings, augmentations
from mrnetlib.training import augment

#: `affine_grid` places its points to about 1e-6 of the image: a thousandth of a grey value.
CLOSE = 2e-3


@pytest.fixture
def slices():
    """Seven slices (7, 1, 32, 32) uint8 of two exams."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (7, 1, 32, 32), generator=generator, dtype=torch.uint8)


def applied(slices, mirrored=0.0, angle=0.0, right=0.0, down=0.0):
    """One draw applied to all slices as one exam."""
    return augment.apply(slices, [len(slices)], torch.tensor([[mirrored, angle, right, down]]))


def test_the_identity_changes_nothing(slices):
    assert (applied(slices) - slices.float()).abs().max() < CLOSE


def test_a_flip_is_the_mirror_image(slices):
    assert (applied(slices, mirrored=1) - slices.float().flip(3)).abs().max() < CLOSE


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_are_clockwise(slices, quarters):
    turned = torch.rot90(slices.float(), -quarters, (2, 3))
    assert (applied(slices, angle=90.0 * quarters) - turned).abs().max() < CLOSE


def test_shifts_scale_with_the_size(slices):
    moved = applied(slices, right=24)  # 24 pixels of 256 are 3 of 32
    assert (moved[..., 3:] - slices.float()[..., :-3]).abs().max() < CLOSE
    assert moved[..., :3].max() < CLOSE  # black comes in
    moved = applied(slices, down=-16)
    assert (moved[..., :-2, :] - slices.float()[..., 2:, :]).abs().max() < CLOSE
    assert moved[..., -2:, :].max() < CLOSE


def test_the_order_is_mirror_turn_shift(slices):
    mirrored = slices.float().flip(3)
    turned = torch.rot90(mirrored, -1, (2, 3))
    moved = applied(slices, mirrored=1, angle=90, right=8)
    assert (moved[..., 1:] - turned[..., :-1]).abs().max() < CLOSE


def test_interpolation_is_bilinear(slices):
    half = applied(slices, right=4)  # half a pixel of 32
    x = slices.float()
    assert (half[..., 1:] - (x[..., 1:] + x[..., :-1]) / 2).abs().max() < CLOSE


def test_every_exam_gets_its_own_draw_and_all_its_slices_the_same(slices):
    drawn = torch.tensor([[0.0, 0, 0, 0], [1.0, 0, 0, 0]])
    moved = augment.apply(slices, [3, 4], drawn)
    assert (moved[:3] - slices[:3].float()).abs().max() < CLOSE
    assert (moved[3:] - slices[3:].float().flip(3)).abs().max() < CLOSE


def test_apply_is_pure(slices):
    before = slices.clone()
    drawn = augment.draw(2, "axial", Settings(), torch.Generator().manual_seed(0))
    first, second = (augment.apply(slices, [3, 4], drawn) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(slices, before)
    assert first.shape == slices.shape
    assert first.dtype == torch.float32


def test_lengths_must_add_up(slices):
    with pytest.raises(RuntimeError):
        augment.apply(slices, [3, 3], torch.zeros(2, 4))


def test_draws_fill_the_papers_ranges():
    drawn = augment.draw(4000, "axial", Settings(), torch.Generator().manual_seed(0))
    assert drawn.shape == (4000, 4)
    mirrored, rest = drawn[:, 0], drawn[:, 1:]
    assert set(mirrored.tolist()) == {0.0, 1.0}
    assert mirrored.mean().item() == pytest.approx(0.5, abs=0.03)
    assert 24.9 < rest.abs().max() <= 25
    assert rest.mean(0).abs().max() < 1
    assert rest.std(0).sub(50 / 12**0.5).abs().max() < 0.5  # uniform
    assert torch.corrcoef(drawn.T).fill_diagonal_(0).abs().max() < 0.06


def test_draws_depend_on_the_generator_alone():
    first, again, other = (
        augment.draw(5, "axial", Settings(), torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_nothing_is_drawn_where_nothing_may_change(slices):
    drawn = augment.draw(
        2,
        "axial",
        Settings(**dict.fromkeys(augmentations(), 0.0)),
        torch.Generator().manual_seed(0),
    )
    assert (augment.apply(slices, [3, 4], drawn) - slices.float()).abs().max() < CLOSE


def test_sagittal_exams_have_a_flip_of_their_own():
    chosen = Settings(flip=1, flip_sagittal=0)
    for plane, mirrored in {"axial": 1, "coronal": 1, "sagittal": 0}.items():
        drawn = augment.draw(9, plane, chosen, torch.Generator().manual_seed(0))
        assert (drawn[:, 0] == mirrored).all(), plane
