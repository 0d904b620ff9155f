"""The encoder protocol: what every image encoder and every language model says of itself.

``docs/add_an_encoder.md`` is the recipe for one of your own. Loads no model library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from perception_contrast.core.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from perception_contrast.encoders.familiarity.training_images import TrainingImages
    from perception_contrast.encoders.rescoring_head import Rescoring
    from perception_contrast.models.image_input import ImageInput
    from perception_contrast.models.logit_scale import LogitScale
    from perception_contrast.models.specs import Triple
    from perception_contrast.text.base import TextEncoder


class Role(Enum):
    """What an output of an encoder is for. The values stand in exported files."""

    SPATIAL = "spatial"
    """Dense features of the image alone, (B, h, w, c)."""
    SPATIAL_POOLED = "spatial_pooled"
    """The image alone as one vector, (B, c)."""
    LANGUAGE = "language"
    """Dense features of unit length that are comparable with text, (B, h, w, dim)."""
    LANGUAGE_POOLED = "language_pooled"
    """The image as one unit vector that is comparable with text, (B, dim)."""
    INSTANCE_CUES = "instance_cues"
    """For each cell, where its object's centre is, the object's size, how near its edge is, (B, h, w, 4)."""
    PROXY_VALUES = "proxy_values"
    """Values of the last block, for ProxyCLIP to gather by another encoder's features, (B, h, w, width)."""
    BLOCKS = "blocks"
    """Raw outputs of some blocks, side by side, (B, h, w, c)."""


@dataclass(frozen=True)
class EncoderOutput:
    """One tensor that an encoder gives for a batch of images.

    Attributes:
        name: Its name, also in an exported file.
        roles: What it may be used for.
        space: Embedding space of its vectors.
        unit: Whether its vectors have length 1.
    """

    name: str
    roles: tuple[Role, ...]
    space: str
    unit: bool = False


def output_with(outputs: Iterable[EncoderOutput], role: Role) -> EncoderOutput | None:
    """Finds an output by its role.

    Args:
        outputs: Outputs of an encoder.
        role: The role.

    Returns:
        The first output that has the role; None if there is none.
    """
    return next((one for one in outputs if role in one.roles), None)


def name_of_output(outputs: Iterable[EncoderOutput], role: Role, model: str) -> str:
    """Finds the name of an output by its role.

    Args:
        outputs: Outputs of an encoder.
        role: The role.
        model: Name of the model, for the error.

    Returns:
        The name of the first output that has the role.

    Raises:
        ModelError: The encoder declares no such output.
    """
    found = output_with(outputs, role)
    if found is None:
        raise ModelError(f"'{model}' gives no output with the role {role.value}; see its ``outputs``")
    return found.name


def unit_names(outputs: Iterable[EncoderOutput]) -> frozenset[str]:
    """Selects the outputs whose vectors have length 1.

    Args:
        outputs: Outputs of an encoder.

    Returns:
        Their names.
    """
    return frozenset(one.name for one in outputs if one.unit)


class ImageEncoder(Protocol):
    """Images to named tensors. Implementations subclass this protocol and ``torch.nn.Module``.

    Attributes:
        model: Id of the model.
        family: Family of its ``ModelSpec``.
        space: Embedding space of its main vectors, ``<model>@<sha256>``.
        dim: Channels of its dense features.
        patch: Side of a cell in pixels; sides of images are multiples of it.
        mean: Mean of R, G, B in [0, 1], by which images are normalised.
        std: Standard deviation of R, G, B in [0, 1], by which images are normalised.
        method: How dense features become comparable with text (``dense.method_names``); "" if they do not.
        depth: Number of blocks whose raw outputs ``encode`` can also give; 0 for none.
        image_input: Input for the vector of a whole image; None for the input of the dense features.
        tile: Side in pixels of the tiles in which much larger inputs are encoded by default; 0 for none.
    """

    model: str
    family: str
    space: str
    dim: int
    patch: int
    mean: Triple
    std: Triple
    method: str = ""
    depth: int = 0
    image_input: ImageInput | None = None
    tile: int = 0

    @property
    def outputs(self) -> tuple[EncoderOutput, ...]:
        """What ``encode`` gives, in this order."""
        ...

    @property
    def backbone(self) -> ImageEncoder:
        """The encoder below a head; the encoder itself if it has no head."""
        return self

    def encode(self, images: Tensor, layers: Sequence[int] = ()) -> tuple[Tensor, ...]:
        """Encodes a batch of images.

        Args:
            images: (B, 3, H, W) float, normalised by ``mean`` and ``std``; H and W are multiples of
                ``patch``.
            layers: 0-based blocks whose raw outputs are wanted too; none if ``depth`` is 0.

        Returns:
            The tensors of ``outputs``, then (B, h, w, c) for each of ``layers``.
        """
        ...

    def image_embedding(self, images: Tensor) -> Tensor:
        """Encodes each image as one vector.

        Args:
            images: (B, 3, H, W) float, as of ``encode``.

        Returns:
            (B, c) float.

        Raises:
            ModelError: The encoder declares no output with ``Role.SPATIAL_POOLED``.
        """
        name = name_of_output(self.outputs, Role.SPATIAL_POOLED, self.model)
        names = [one.name for one in self.outputs]
        return self.encode(images)[names.index(name)]

    def by_proxy(self, values: Tensor, features: Tensor) -> Tensor:
        """Computes dense language features by ProxyCLIP (Lan et al., ECCV 2024).

        It needs an encoder with an output of ``Role.PROXY_VALUES``.

        Args:
            values: (B, h, w, width), that output.
            features: (B, H, W, c), another encoder's raw dense features of the same images.

        Returns:
            (B, H, W, dim) unit vectors.

        Raises:
            ModelError: This encoder has no such output.
        """
        raise ModelError(f"'{self.model}' gives no values that another encoder's features could gather")

    def parameters(self) -> Any:
        """Gives the parameters of ``torch.nn.Module``.

        Returns:
            An iterator; empty for an encoder that runs elsewhere.
        """
        return iter(())


@dataclass(frozen=True)
class FittedScores:
    """What training fitted with a language model: log odds are scale * cosine + bias.

    Attributes:
        text_scale: Scale of cosines with texts.
        text_bias: Bias of cosines with texts.
        facts: What was written with the weights, including calibrations.
    """

    text_scale: float
    text_bias: float
    facts: Mapping[str, str]


class LanguageModel(Protocol):
    """Images and phrases to unit vectors of one space.

    Attributes:
        model: Id of the model.
        space: Embedding space of the vectors of images and texts.
        dim: Channels of these vectors.
        image_encoder: Gives ``Role.LANGUAGE`` or ``Role.PROXY_VALUES``, and ``Role.LANGUAGE_POOLED``. An
            encoder of images alone shares its pass if it is this encoder or this encoder's ``backbone``.
        text: Encodes phrases for comparison with dense features.
    """

    model: str
    space: str
    dim: int
    image_encoder: ImageEncoder
    text: TextEncoder

    @property
    def image_text(self) -> TextEncoder:
        """Encodes phrases for comparison with the vector of a whole image.

        It is ``text`` if that has the same space.
        """
        return self.text

    @property
    def logit_scale(self) -> LogitScale:
        """Scale and bias for whole images with texts, as the model was trained."""
        ...

    @property
    def fitted(self) -> FittedScores | None:
        """How cosines become log odds; None if they are compared within their frame."""
        return None

    @property
    def rescoring(self) -> Rescoring | None:
        """The head for enlarged crops of regions; None if there is none."""
        return None

    @property
    def trained_absent(self) -> frozenset[str]:
        """Names that training always called absent; a query of one finds nothing."""
        return frozenset()

    @property
    def training_images(self) -> TrainingImages | None:
        """Statistics of the training images by the encoder's class token; None if they are not known."""
        return None
