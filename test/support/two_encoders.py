"""Two small random encoders as the studio's tasks hold them."""

from __future__ import annotations

from typing import Any

from small_models import small_clip, small_dino

from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.pipeline.image_encoder_runner import ImageEncoderRunner
from perception_contrast_studio.tasks.encoders.loaded_encoders import LoadedEncoder
from perception_contrast_training.evaluation.encoding import EncoderAdapter

NAMES = ("small-dino", "small-clip")
CELLS = 4


def quiet(fraction: float, text: str) -> None:
    """Takes progress."""


def loaded(encoder: Any, name: str) -> LoadedEncoder:
    """An encoder without words."""
    adapter = EncoderAdapter(
        name,
        encoder.space,
        encoder.image_embedding,
        CELLS * encoder.patch,
        encoder.mean,
        encoder.std,
        encoder=encoder,
    )
    return LoadedEncoder(
        adapter, encoder, ImageEncoderRunner(Encoders(encoder, None, "cpu"), "torch", "fp32")
    )


def two_small() -> dict[str, LoadedEncoder]:
    """Both, by name."""
    return dict(zip(NAMES, (loaded(small_dino(), NAMES[0]), loaded(small_clip(), NAMES[1])), strict=True))
