"""Any encoder of images alone by its name: ours, exported, of timm, or of another package."""

from __future__ import annotations

from pathlib import Path

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.base import ImageEncoder
from perception_contrast.encoders.dinov2 import load_dino
from perception_contrast.models.download import Progress
from perception_contrast.models.encoder_kind import EncoderRequest, encoder_kind
from perception_contrast.models.registry import model_spec
from perception_contrast.models.specs import PLUGIN, ModelSpec


def load_image_encoder(
    name: str | ModelSpec,
    *,
    device: str = "cpu",
    offline: bool = False,
    weights: Path | None = None,
    pinned: bool = False,
    progress: Progress | None = None,
) -> ImageEncoder:
    """As ``load_dino``, also for an encoder that an installed package registers. Raises ModelError."""
    spec = model_spec(name) if isinstance(name, str) else name
    if spec.family != PLUGIN:
        return load_dino(
            spec, device=device, offline=offline, weights=weights, pinned=pinned, progress=progress
        )
    kind = encoder_kind(spec.name)
    assert kind is not None, spec.name  # it gave the spec
    encoder = kind.load(EncoderRequest(spec, device, offline, weights, progress))
    if ImageEncoder not in type(encoder).__mro__:
        raise ModelError(
            f"'{spec.name}' loads a {type(encoder).__name__}; make its class a subclass of ImageEncoder"
        )
    made: ImageEncoder = encoder
    return made
