"""What the authors published on ImageNet, on which axis, and with what."""

from __future__ import annotations

from dataclasses import dataclass

ZERO_SHOT, LINEAR, NEIGHBOURS, FINE_TUNED = "zero-shot", "linear probe", "kNN", "fine-tuned"


@dataclass(frozen=True)
class Published:
    """One figure of a paper.

    Attributes:
        method: As cells name it.
        percent: Top-1 accuracy on the validation images of ImageNet-1k.
        axis: How the encoder was asked.
        backbone: And the side of the images in pixels.
        data: That it learned from.
        source: The paper.
    """

    method: str
    percent: float
    axis: str
    backbone: str
    data: str
    source: str


WEB = "400 million web pairs"
WEBLI = "billions of web pairs (WebLI)"
IMAGENET = "1.28 million images"
LONG = f"{IMAGENET}, 1,000 epochs"
PUBLISHED = (
    Published("clip", 76.2, ZERO_SHOT, "ViT-L/14, 336 px", WEB, "Radford et al. 2021"),
    Published("clip", 85.4, LINEAR, "ViT-L/14, 336 px", WEB, "Radford et al. 2021"),
    Published("siglip", 83.1, ZERO_SHOT, "SoViT-400m/14, 384 px", WEBLI, "Zhai et al. 2023"),
    Published("simclr", 76.5, LINEAR, "ResNet-50 (4x), 224 px", LONG, "Chen et al. 2020"),
    Published("byol", 78.6, LINEAR, "ResNet-50 (4x), 224 px", LONG, "Grill et al. 2020"),
    Published("dino", 78.2, LINEAR, "ViT-B/16, 224 px", f"{IMAGENET}, 400 epochs", "Caron et al. 2021"),
    Published("dinov2", 83.5, NEIGHBOURS, "ViT-g/14, 224 px", "142 million images", "Oquab et al. 2024"),
    Published("dinov2", 86.5, LINEAR, "ViT-g/14, 224 px", "142 million images", "Oquab et al. 2024"),
    Published("mae", 87.8, FINE_TUNED, "ViT-H/14, 448 px", f"{IMAGENET}, 1,600 epochs", "He et al. 2022"),
)  # fmt: skip
