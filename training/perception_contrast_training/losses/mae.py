"""The reconstruction loss of MAE (He et al., CVPR 2022)."""

from __future__ import annotations

from torch import Tensor

from perception_contrast_training.losses.full_precision import exact

Patch = int | tuple[int, int]
"""Pixels of a patch: of each side, or (height, width)."""


def patches_of(image: Tensor, patch_size: Patch) -> Tensor:
    """Cuts images into patches.

    Args:
        image: (b, c, H, W).
        patch_size: Side of a patch in pixels, or (height, width).

    Returns:
        (b, patches, pixels of a patch * c): rows of patches; in each patch rows of pixels, then channels.

    Raises:
        ValueError: A side is not a multiple of the patch.

    Source: He et al., "Masked Autoencoders Are Scalable Vision Learners" (MAE), CVPR 2022.
    """
    batch, channels, height, width = image.shape
    high, wide = (patch_size, patch_size) if isinstance(patch_size, int) else patch_size
    if height % high or width % wide:
        said = f"{high}" if high == wide else f"{wide}x{high}"
        raise ValueError(f"an image of {width}x{height} does not fall into patches of {said}")
    rows, columns = height // high, width // wide
    cut = image.reshape(batch, channels, rows, high, columns, wide)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(batch, rows * columns, high * wide * channels)


@exact
def mae_loss(
    prediction: Tensor, image: Tensor, mask: Tensor, patch_size: Patch, norm_pix: bool = True
) -> Tensor:
    """Mean squared error on masked patches, mean over all of them.

    Args:
        prediction: (b, n, pixels of a patch * c) of all patches.
        image: (b, c, H, W), floating.
        mask: (b, n), 1 where the encoder saw none.
        patch_size: Pixels of a patch: of each side, or (height, width).
        norm_pix: Whether the target is each patch's pixels less their mean, over their deviation (unbiased
            variance + 1e-6).

    Returns:
        () loss.

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> image = torch.zeros(1, 3, 4, 4)
        >>> mae_loss(torch.zeros(1, 4, 12), image, torch.ones(1, 4), 2).item()
        0.0

    Source: He et al., "Masked Autoencoders Are Scalable Vision Learners" (MAE), CVPR 2022.
    """
    target = patches_of(image, patch_size)
    if prediction.shape != target.shape or mask.shape != target.shape[:2]:
        raise ValueError(
            f"the image has patches {tuple(target.shape)}; the prediction is {tuple(prediction.shape)}, "
            f"the mask {tuple(mask.shape)}"
        )
    if norm_pix:
        mean, variance = target.mean(dim=-1, keepdim=True), target.var(dim=-1, keepdim=True)
        target = (target - mean) / (variance + 1e-6).sqrt()
    weight = mask.to(prediction.dtype)
    return (((prediction - target) ** 2).mean(dim=-1) * weight).sum() / weight.sum().clamp_min(1.0)
