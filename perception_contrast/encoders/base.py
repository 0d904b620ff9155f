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
    """(B, h, w, c): dense features of the image alone."""
    SPATIAL_POOLED = "spatial_pooled"
    """(B, c): the image alone as one vector."""
    LANGUAGE = "language"
    """(B, h, w, dim): dense features of unit length, comparable with text."""
    LANGUAGE_POOLED = "language_pooled"
    """(B, dim): the image as one unit vector, comparable with text."""
    INSTANCE_CUES = "instance_cues"
    """(B, h, w, 4): per cell, where its object's centre is, the object's size, how near its edge is."""
    PROXY_VALUES = "proxy_values"
    """(B, h, w, width): values of the last block, for ProxyCLIP to gather by another encoder's features."""
    BLOCKS = "blocks"
    """(B, h, w, c): raw outputs of some blocks, side by side."""


@dataclass(frozen=True)
class EncoderOutput:
    """One tensor that an encoder gives for a batch of images.

    Attributes:
        name: its name, in an exported file too.
        roles: what it may be used for.
        space: identity of its vectors' space.
        unit: whether its vectors have length 1.
    """

    name: str
    roles: tuple[Role, ...]
    space: str
    unit: bool = False


def output_with(outputs: Iterable[EncoderOutput], role: Role) -> EncoderOutput | None:
    """The first output that has a role, or None."""
    return next((one for one in outputs if role in one.roles), None)


def name_of_output(outputs: Iterable[EncoderOutput], role: Role, model: str) -> str:
    """The name of the output that has a role.

    Raises:
        ModelError: the encoder declares no such output.
    """
    found = output_with(outputs, role)
    if found is None:
        raise ModelError(f"'{model}' gives no output with the role {role.value}; see its ``outputs``")
    return found.name


def unit_names(outputs: Iterable[EncoderOutput]) -> frozenset[str]:
    """Names of the outputs whose vectors have length 1."""
    return frozenset(one.name for one in outputs if one.unit)


class ImageEncoder(Protocol):
    """Images to named tensors. Implementations subclass this protocol and ``torch.nn.Module``.

    Attributes:
        model: id of the model.
        family: the family of its ``ModelSpec``.
        space: identity of the space of its main vectors, ``<model>@<sha256>``.
        dim: channels of its dense features.
        patch: side of a cell in pixels; images are multiples of it.
        mean, std: of RGB in [0, 1], by which images are normalised.
        method: how dense features become comparable with text (``dense.method_names``), "" if they do not.
        depth: blocks whose raw outputs ``encode`` can give as well; 0 for none.
        image_input: what the vector of a whole image is made of; None for the input of the dense features.
        tile: side in pixels of the tiles that much larger inputs are encoded in by default; 0 for none.
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
        """What ``encode`` gives, in order."""
        ...

    @property
    def backbone(self) -> ImageEncoder:
        """The encoder below a head; itself for one without a head."""
        return self

    def encode(self, images: Tensor, layers: Sequence[int] = ()) -> tuple[Tensor, ...]:
        """Encodes a batch of images.

        Args:
            images: (B, 3, H, W) float, normalised by ``mean`` and ``std``; H and W multiples of ``patch``.
            layers: 0-based blocks whose raw outputs are wanted too; none where ``depth`` is 0.

        Returns:
            The tensors of ``outputs``, then (B, h, w, c) for each of ``layers``.
        """
        ...

    def image_embedding(self, images: Tensor) -> Tensor:
        """images, as of ``encode``, to one vector each: (B, c)."""
        name = name_of_output(self.outputs, Role.SPATIAL_POOLED, self.model)
        names = [one.name for one in self.outputs]
        return self.encode(images)[names.index(name)]

    def by_proxy(self, values: Tensor, features: Tensor) -> Tensor:
        """Dense language features by ProxyCLIP, for encoders with an output of ``Role.PROXY_VALUES``.

        Args:
            values: (B, h, w, width), that output.
            features: (B, H, W, c), another encoder's dense features of the same images, raw.

        Returns:
            (B, H, W, dim), unit vectors.

        Raises:
            ModelError: this encoder has no such output.
        """
        raise ModelError(f"'{self.model}' gives no values that another encoder's features could gather")

    def parameters(self) -> Any:
        """Those of ``torch.nn.Module``; empty for an encoder that runs elsewhere."""
        return iter(())


@dataclass(frozen=True)
class FittedScores:
    """What training fitted along with a language model: log odds are scale * cosine + bias.

    Attributes:
        text_scale, text_bias: of cosines with texts.
        facts: what was written with the weights, calibrations among it.
    """

    text_scale: float
    text_bias: float
    facts: Mapping[str, str]


class LanguageModel(Protocol):
    """Images and phrases to unit vectors of one space.

    Attributes:
        model, space, dim: of the vectors of images and texts.
        image_encoder: gives ``Role.LANGUAGE`` or ``Role.PROXY_VALUES``, and ``Role.LANGUAGE_POOLED``. An
            encoder of images alone shares its pass where it is this one or this one's ``backbone``.
        text: encodes phrases, for comparison with dense features.
        image_text: encodes phrases for comparison with the vector of a whole image; ``text`` where that has
            the same space.
        logit_scale: of whole images with texts, as the model was trained.
        fitted: how cosines become log odds; None where they are compared within their frame.
        rescoring: the head for enlarged crops of regions, None without one.
        trained_absent: names that its training always called absent; a query of one finds nothing.
        training_images: what it was trained on, by its image encoder's class token; None if not known.
    """

    model: str
    space: str
    dim: int
    image_encoder: ImageEncoder
    text: TextEncoder

    @property
    def image_text(self) -> TextEncoder:
        return self.text

    @property
    def logit_scale(self) -> LogitScale: ...

    @property
    def fitted(self) -> FittedScores | None:
        return None

    @property
    def rescoring(self) -> Rescoring | None:
        return None

    @property
    def trained_absent(self) -> frozenset[str]:
        return frozenset()

    @property
    def training_images(self) -> TrainingImages | None:
        return None
