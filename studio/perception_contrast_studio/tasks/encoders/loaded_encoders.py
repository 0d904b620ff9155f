"""Loaded encoders, at most two at a time, and the features that they give."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.frame import Frame
from perception_contrast.encoders.base import EncoderOutput, ImageEncoder, Role
from perception_contrast.encoders.load_encoders import Encoders, load_encoders
from perception_contrast.models.registry import LIT_TOWER, model_spec
from perception_contrast.pipeline.image_encoder_runner import ImageEncoderRunner
from perception_contrast.pipeline.image_features import FeatureRequest
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.pipeline.stage_timer import StageTimer
from perception_contrast_studio.tasks.encoders.encoder_models import RANDOM
from perception_contrast_training.evaluation.encoder_adapters import encoder_adapter
from perception_contrast_training.evaluation.encoding import EncoderAdapter

MOST_LOADED = 2
MOST_CELLS = 2048
LIT_SIDE = 224


@dataclass(frozen=True)
class LoadedEncoder:
    """An encoder in memory.

    Attributes:
        adapter: Of whole images and words.
        encoder: Gives the cells.
        runner: Runs it on frames of any size.
    """

    adapter: EncoderAdapter
    encoder: ImageEncoder
    runner: ImageEncoderRunner

    def grid(self, frame: Frame, short_side: int) -> FeatureGrid:
        """The cells of a frame. Raises FrameError."""
        settings = PipelineSettings(short_side=short_side, max_tokens=MOST_CELLS)
        request = FeatureRequest(features=True)
        found = self.runner.encode([frame], request, settings, StageTimer().stage)[0]().features
        assert found is not None
        return found


class AlignedAlone(nn.Module, ImageEncoder):
    """household-lit's head as an encoder of its own: its cells and vectors, not those of DINOv2 below it."""

    def __init__(self, aligned: ImageEncoder) -> None:
        super().__init__()
        self.aligned = aligned
        self.model, self.family, self.space = aligned.model, aligned.family, aligned.space
        self.dim, self.patch, self.mean, self.std = aligned.dim, aligned.patch, aligned.mean, aligned.std
        names = [one.name for one in aligned.outputs]
        found = [
            next(one for one in aligned.outputs if role in one.roles)
            for role in (Role.LANGUAGE, Role.LANGUAGE_POOLED)
        ]
        self._places = [names.index(one.name) for one in found]
        roles = ((Role.SPATIAL, Role.LANGUAGE), (Role.SPATIAL_POOLED, Role.LANGUAGE_POOLED))
        self._outputs = tuple(
            EncoderOutput(one.name, of, one.space, one.unit) for one, of in zip(found, roles, strict=True)
        )

    @property
    def outputs(self) -> tuple[EncoderOutput, ...]:
        """The head's cells and its vector of the whole image."""
        return self._outputs

    @property
    def backbone(self) -> ImageEncoder:
        """The tower below the head."""
        return self.aligned.backbone

    def encode(self, images: Tensor, layers: Sequence[int] = ()) -> tuple[Tensor, ...]:
        """As ``ImageEncoder.encode``; gives no ``layers``."""
        given = self.aligned.encode(images)
        return tuple(given[place] for place in self._places)


_loaded: OrderedDict[str, LoadedEncoder] = OrderedDict()


def loaded_encoder(name: str) -> LoadedEncoder:
    """An encoder by its name; the one that was not used for longest goes where two are loaded.

    Args:
        name: A model, "random:" and a model, or the folder of an exported one.

    Raises:
        ModelError: There is no such model, or its weights are not here.
    """
    if name not in _loaded:
        while len(_loaded) >= MOST_LOADED:
            _loaded.popitem(last=False)
        _loaded[name] = _load(name)
    _loaded.move_to_end(name)
    return _loaded[name]


def _load(name: str) -> LoadedEncoder:
    spec = model_spec(name.removeprefix(RANDOM))
    adapter = _aligned(name) if spec.family == "lit" else encoder_adapter(name, offline=True)
    assert adapter.encoder is not None
    encoder = adapter.encoder.backbone if spec.family != "lit" else adapter.encoder
    runner = ImageEncoderRunner(Encoders(encoder, None, "cpu"), "torch", "fp32")
    return LoadedEncoder(adapter, encoder, runner)


def _aligned(name: str) -> EncoderAdapter:
    language = load_encoders(LIT_TOWER, name, offline=True).language
    assert language is not None
    encoder = AlignedAlone(language.image_encoder).eval()

    def words(texts: Sequence[str]) -> Tensor:
        return torch.from_numpy(language.image_text.encode(list(texts)))

    return EncoderAdapter(
        name,
        encoder.space,
        encoder.image_embedding,
        LIT_SIDE,
        encoder.mean,
        encoder.std,
        words=words,
        encoder=encoder,
    )
