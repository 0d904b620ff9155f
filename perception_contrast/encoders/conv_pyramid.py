"""Finer feature grids of convolutional networks: late, coarse maps merged with earlier, finer ones.

Feature Pyramid Networks (Lin et al., CVPR 2017), of which the finest level alone is given.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from perception_contrast.core.errors import ModelError

CHANNELS = 384  # where none are asked for


class ConvPyramid(nn.Module):
    """A convolutional network of timm and the layers that merge its maps; used like one of timm.

    Args:
        network: has ``forward_intermediates`` and ``feature_info``, and no classifier.
        stride: pixels of a cell of the merged map, the stride of one of the network's stages.
        channels: of the merged map; 0 for ``CHANNELS``.

    Attributes:
        num_features: channels of the merged map.
        feature_info: of the merged map alone, as timm writes it.

    Raises:
        ModelError: no stage of the network has this stride.
    """

    def __init__(self, network: Any, stride: int, channels: int = 0) -> None:
        super().__init__()
        self.network = network
        self.num_features = channels or CHANNELS
        stages = list(network.feature_info)
        self.stages = _merged_stages(stages, stride)
        self.feature_info = [{"num_chs": self.num_features, "reduction": stride, "module": "merge"}]
        widths = [int(stages[index]["num_chs"]) for index in self.stages]
        self.laterals = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, self.num_features, 1, bias=False), nn.BatchNorm2d(self.num_features)
            )
            for width in widths
        )
        # A pointwise layer after a depthwise one costs a small network a tenth of a full 3x3 convolution.
        self.merge = nn.Sequential(
            nn.GELU(),
            nn.Conv2d(
                self.num_features, self.num_features, 3, padding=1, groups=self.num_features, bias=False
            ),
            nn.BatchNorm2d(self.num_features),
            nn.Conv2d(self.num_features, self.num_features, 1),
        )

    def forward_features(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W), normalised, to the merged map (B, num_features, H / stride, W / stride)."""
        maps = self.network.forward_intermediates(images, indices=self.stages, intermediates_only=True)
        merged = self.laterals[-1](maps[-1])
        for lateral, finer in zip(self.laterals[-2::-1], maps[-2::-1], strict=True):
            enlarged = functional.interpolate(
                merged, finer.shape[-2:], mode="bilinear", align_corners=False
            )  # cells' centres stay where they are
            merged = enlarged + lateral(finer)
        result: Tensor = merged + self.merge(merged)
        return result

    def forward_head(self, features: Tensor, pre_logits: bool = True) -> Tensor:
        """The map (B, c, h, w) to its mean (B, c)."""
        return features.mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) to vectors of them (B, num_features)."""
        return self.forward_head(self.forward_features(images))

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Of the network below."""
        self.network.set_grad_checkpointing(enable)


def _merged_stages(feature_info: Any, stride: int) -> list[int]:
    """Indices of the last stage of each stride from ``stride`` on."""
    last = {int(one["reduction"]): index for index, one in enumerate(feature_info)}
    if stride not in last:
        raise ModelError(
            f"no stage of this network has a stride of {stride} pixels; it has "
            f"{', '.join(map(str, sorted(last)))}"
        )
    return [index for found, index in sorted(last.items()) if found >= stride]
