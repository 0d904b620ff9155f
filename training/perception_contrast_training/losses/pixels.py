"""Losses on pixels: MAE."""

from __future__ import annotations

from torch import Tensor


def patches_of(image: Tensor, patch_size: int) -> Tensor:
    """(b, c, H, W) to (b, patches, patch_size^2 * c): rows of patches, in each rows of pixels, channels last.

    Raises ValueError for a side that is no multiple of the patch.
    """
    batch, channels, height, width = image.shape
    if height % patch_size or width % patch_size:
        raise ValueError(f"a picture of {width}x{height} does not fall into patches of {patch_size}")
    rows, columns = height // patch_size, width // patch_size
    cut = image.reshape(batch, channels, rows, patch_size, columns, patch_size)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(batch, rows * columns, patch_size**2 * channels)


def mae_loss(
    prediction: Tensor, image: Tensor, mask: Tensor, patch_size: int, norm_pix: bool = True
) -> Tensor:
    """Mean squared error on masked patches (He et al., MAE, CVPR 2022), mean over all of them.

    prediction: (b, n, patch_size^2 * c), image: (b, c, H, W), mask: (b, n), 1 where the encoder saw none.
    norm_pix: each patch's pixels less their mean, over their deviation (unbiased variance + 1e-6).
    """
    target = patches_of(image, patch_size)
    if norm_pix:
        mean, variance = target.mean(dim=-1, keepdim=True), target.var(dim=-1, keepdim=True)
        target = (target - mean) / (variance + 1e-6).sqrt()
    weight = mask.to(prediction.dtype)
    return (((prediction - target) ** 2).mean(dim=-1) * weight).sum() / weight.sum().clamp_min(1.0)
