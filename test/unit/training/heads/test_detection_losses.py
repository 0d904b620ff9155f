"""Losses and suppression against torchvision's, which are of other authors."""

from __future__ import annotations

import numpy as np
import torch
from torchvision.ops import batched_nms, box_iou, generalized_box_iou_loss, sigmoid_focal_loss

from perception_contrast.core import box_iou as boxes_in_numpy
from perception_contrast.heads.box_overlap import suppressed
from perception_contrast_training.losses.detection import box_iou_pairs, focal_loss, giou_loss


def _boxes(count: int, seed: int) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=draws) * 20
    return torch.cat([corner, corner + 0.5 + torch.rand(count, 2, generator=draws) * 10], dim=1)


def test_focal_loss_is_torchvisions() -> None:
    logits = torch.linspace(-6, 6, 40).reshape(8, 5)
    targets = (torch.arange(40).reshape(8, 5) % 3 == 0).float()
    torch.testing.assert_close(focal_loss(logits, targets), sigmoid_focal_loss(logits, targets))


def test_giou_loss_and_iou_are_torchvisions() -> None:
    first, second = _boxes(60, 1), _boxes(60, 2)
    torch.testing.assert_close(giou_loss(first, second), generalized_box_iou_loss(first, second))
    torch.testing.assert_close(box_iou_pairs(first, second), box_iou(first, second).diagonal())


def test_suppression_is_torchvisions() -> None:
    boxes, labels = _boxes(200, 3), torch.arange(200) % 3
    scores = torch.rand(200, generator=torch.Generator().manual_seed(4))
    expected = batched_nms(boxes, scores, labels, 0.4)
    kept = suppressed(boxes.numpy(), scores.numpy(), labels.numpy(), 0.4)
    assert kept.tolist() == expected.tolist()
    np.testing.assert_allclose(
        boxes_in_numpy.box_iou(boxes.numpy(), boxes.numpy()), box_iou(boxes, boxes), atol=1e-6
    )


def test_no_boxes_are_suppressed_to_none() -> None:
    empty = np.zeros((0, 4), np.float32)
    assert len(suppressed(empty, np.zeros(0, np.float32), np.zeros(0, np.int64), 0.5)) == 0
