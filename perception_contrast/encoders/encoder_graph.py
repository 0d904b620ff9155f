"""What an engine runs: images in, a fixed tuple of named tensors out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from perception_contrast.encoders.base import (
    EncoderOutput,
    ImageEncoder,
    Role,
    name_of_output,
    output_with,
    unit_names,
)
from perception_contrast.models.specs import Triple


class EncoderGraph(nn.Module):
    """An encoder whose outputs are named; the facts are those of ``ImageEncoder``.

    Attributes:
        names: of its outputs, in order.
        unit_names: of outputs whose vectors have length 1.
        map_names: of outputs whose cells are no directions and compare as whole maps.
    """

    def __init__(self, encoder: ImageEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.model, self.space, self.method = encoder.model, encoder.space, encoder.method
        self.patch = encoder.patch
        self.mean: Triple = encoder.mean
        self.std: Triple = encoder.std
        self.image_input, self.tile = encoder.image_input, encoder.tile
        self.outputs: tuple[EncoderOutput, ...] = encoder.outputs
        self.names = tuple(one.name for one in self.outputs)
        self.unit_names = unit_names(self.outputs)
        self.map_names = frozenset(one.name for one in self.outputs if Role.INSTANCE_CUES in one.roles)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """images (B, 3, H, W) float32, normalised, to the tensors of ``names``."""
        return self.encoder.encode(images)

    def has(self, role: Role) -> bool:
        """Whether an output has this role."""
        return output_with(self.outputs, role) is not None

    def name_of(self, role: Role) -> str:
        """The output that has this role. Raises ModelError where none has."""
        return name_of_output(self.outputs, role, self.model)


def graph_of(encoder: ImageEncoder) -> EncoderGraph:
    """The graph of an encoder, on its device, in evaluation mode without gradients."""
    graph = EncoderGraph(encoder)
    device = next((parameter.device for parameter in encoder.parameters()), torch.device("cpu"))
    return graph.eval().requires_grad_(False).to(device)


def language_features(
    language: ImageEncoder,
    spatial: ImageEncoder,
    language_outputs: Mapping[str, Tensor],
    spatial_outputs: Mapping[str, Tensor],
) -> Tensor:
    """Dense language features (B, h, w, dim), unit, of what two encoders gave for the same images.

    language_outputs: by name, of the language model's encoder. spatial_outputs: of the other encoder, which
    is read only where the language model's leaves it to ProxyCLIP.
    """
    dense = output_with(language.outputs, Role.LANGUAGE)
    if dense is not None:
        return language_outputs[dense.name]
    values = language_outputs[name_of_output(language.outputs, Role.PROXY_VALUES, language.model)]
    features = spatial_outputs[name_of_output(spatial.outputs, Role.SPATIAL, spatial.model)]
    with torch.inference_mode():
        return language.by_proxy(values, features)
