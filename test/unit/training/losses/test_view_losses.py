"""SimCLR, SigLIP, BYOL, DINO, iBOT, KoLeo, MAE and Sinkhorn-Knopp against golden numbers and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from perception_contrast_training import losses


def golden(rows: int, columns: int, phase: float) -> Tensor:
    """sin(0.37 k + phase), each row a tenth larger than the one before; float64."""
    k = np.arange(rows * columns).reshape(rows, columns)
    return torch.from_numpy(np.sin(0.37 * k + phase) * (1 + 0.1 * np.arange(rows))[:, None])


A, B = golden(8, 16, 0.0), golden(8, 16, 0.6)


@pytest.mark.parametrize(("temperature", "expected"), [(0.1, 2.702583750450), (0.5, 2.247388658158)])
def test_nt_xent_gives_the_golden_numbers(temperature: float, expected: float) -> None:
    assert float(losses.nt_xent(A, B, temperature)) == pytest.approx(expected, abs=1e-9)


def test_sigmoid_loss_gives_the_golden_number() -> None:
    assert float(losses.sigmoid_loss(A, B, 10.0, -10.0)) == pytest.approx(3.085992681310, abs=1e-9)


def test_byol_loss_gives_the_golden_number_and_leaves_the_target_alone() -> None:
    target = B.clone().requires_grad_()
    prediction = A.clone().requires_grad_()
    loss = losses.byol_loss(prediction, target)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.352633363650, abs=1e-9)
    assert target.grad is None and prediction.grad is not None


def test_koleo_loss_gives_the_golden_number() -> None:
    assert float(losses.koleo_loss(A)) == pytest.approx(1.023640969437, abs=1e-9)


def test_dino_loss_gives_the_golden_number() -> None:
    teacher = [golden(4, 32, 0.1 * i) for i in range(2)]
    student = [golden(4, 32, 0.2 * i + 1) for i in range(5)]
    assert float(losses.dino_loss(student, teacher, 0.1, 0.04)) == pytest.approx(11.286099814746, abs=1e-9)
    with pytest.raises(ValueError, match="no other view"):
        losses.dino_loss(student[:1], teacher[:1], 0.1, 0.04)


@pytest.mark.parametrize(("norm_pix", "expected"), [(True, 1.932549979597), (False, 1.406569294039)])
def test_mae_loss_gives_the_golden_numbers(norm_pix: bool, expected: float) -> None:
    image = torch.sin(0.11 * torch.arange(2 * 3 * 8 * 8, dtype=torch.float64)).reshape(2, 3, 8, 8)
    prediction = golden(8, 48, 0.2).reshape(2, 4, 48)
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 0, 1]])
    loss = losses.mae_loss(prediction, image, mask, 4, norm_pix)
    assert float(loss) == pytest.approx(expected, abs=1e-9)


def test_pixels_go_where_another_library_puts_them() -> None:
    from transformers import ViTMAEConfig, ViTMAEForPreTraining

    config = ViTMAEConfig(
        image_size=8, patch_size=4, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, decoder_hidden_size=8, decoder_num_hidden_layers=1,
        decoder_num_attention_heads=1, decoder_intermediate_size=8, norm_pix_loss=True,
    )  # fmt: skip
    torch.manual_seed(0)
    theirs, image = ViTMAEForPreTraining(config).eval(), torch.randn(2, 3, 8, 8)
    seen = theirs(image, noise=torch.rand(2, 4))
    ours = losses.mae_loss(seen.logits, image, seen.mask, 4)
    assert float(ours.detach()) == pytest.approx(float(seen.loss.detach()), rel=1e-5)
    with pytest.raises(ValueError, match="9x8"):
        losses.mae_loss(seen.logits, torch.zeros(2, 3, 8, 9), seen.mask, 4)


@pytest.mark.parametrize("chunk", [0, 1, 3, 8, 50])
def test_sigmoid_loss_is_open_clips_in_any_chunks(chunk: int) -> None:
    from open_clip.loss import SigLipLoss

    torch.manual_seed(1)
    image, text = torch.randn(2, 8, 12, dtype=torch.float64).unbind()
    inputs = [image, text, torch.tensor(9.0), torch.tensor(-8.0)]
    ours = [x.clone().double().requires_grad_() for x in inputs]
    theirs = [x.clone().double().requires_grad_() for x in inputs]
    unit = torch.nn.functional.normalize
    expected = SigLipLoss()(unit(theirs[0], dim=-1), unit(theirs[1], dim=-1), theirs[2], theirs[3])
    loss = losses.sigmoid_loss(*ours, chunk=chunk)
    expected.backward()
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-12)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-9, atol=1e-12)


def test_dino_loss_is_its_equation_with_a_centre() -> None:
    torch.manual_seed(2)
    student, teacher = list(torch.randn(3, 4, 6).double()), list(torch.randn(2, 4, 6).double())
    center = torch.randn(6).double()
    total, pairs = 0.0, 0
    for t, seen in enumerate(teacher):
        for s, guess in enumerate(student):
            if s == t:
                continue
            pairs += 1
            for n in range(4):
                weights = [math.exp((float(seen[n, k]) - float(center[k])) / 0.07) for k in range(6)]
                scores = [math.exp(float(guess[n, k]) / 0.1) for k in range(6)]
                for k in range(6):
                    total -= weights[k] / sum(weights) * math.log(scores[k] / sum(scores)) / 4
    assert float(losses.dino_loss(student, teacher, 0.1, 0.07, center)) == pytest.approx(total / pairs)


def test_ibot_loss_is_the_mean_of_each_images_masked_patches() -> None:
    torch.manual_seed(3)
    student, teacher = torch.randn(2, 3, 5, 7).double().unbind()
    mask = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]).bool()
    expected = 0.0
    for b in range(3):
        patches = [n for n in range(5) if mask[b, n]]
        for n in patches:
            target = torch.softmax(teacher[b, n] / 0.05, 0)
            expected -= float((target * torch.log_softmax(student[b, n] / 0.1, 0)).sum()) / len(patches) / 3
    assert float(losses.ibot_loss(student, teacher, mask, 0.1, 0.05)) == pytest.approx(expected)


def test_sinkhorn_knopp_uses_all_prototypes_alike() -> None:
    torch.manual_seed(4)
    shares = losses.sinkhorn_knopp(5 * torch.randn(24, 6).double(), 0.5, iterations=200)
    assert torch.allclose(shares.sum(1), torch.ones(24).double())
    assert torch.allclose(shares.sum(0), torch.full((6,), 4.0).double(), atol=1e-6)
    # Diagonal scaling leaves every 2 by 2 cross ratio as it was (Sinkhorn 1964).
    logits = torch.randn(5, 3).double()
    found = losses.sinkhorn_knopp(logits, 1.0, 50).log()
    assert float(found[0, 0] + found[1, 1] - found[0, 1] - found[1, 0]) == pytest.approx(
        float(logits[0, 0] + logits[1, 1] - logits[0, 1] - logits[1, 0])
    )
    assert torch.isfinite(losses.sinkhorn_knopp(torch.full((4, 4), 1e4), 0.04)).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_koleo_of_equal_rows_stays_finite(dtype: torch.dtype) -> None:
    x = torch.ones(4, 8, dtype=dtype, requires_grad=True)
    loss = losses.koleo_loss(x)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(x.grad).all() and x.grad.dtype == dtype


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(5)
    a, b = (torch.randn(5, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda x, y: losses.nt_xent(x, y, 0.5), (a, b))
    assert torch.autograd.gradcheck(lambda x, y: losses.sigmoid_loss(x, y, 4.0, -2.0, 2), (a, b))
    assert torch.autograd.gradcheck(losses.koleo_loss, (a,))
    assert torch.autograd.gradcheck(lambda x: losses.byol_loss(x, b), (a,))
