"""Any model as one that gives vectors and patch features of frames."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import ModelError, PerceptionError
from perception_contrast.core.feature_grid import FeatureGrid, unit_vectors
from perception_contrast.core.frame import Frame
from perception_contrast_training.embedding.settings import LANGUAGE, THUMBNAIL, EmbedSettings


@dataclass(frozen=True)
class FrameVectors:
    """vector: (c,) float32 of length 1. grid: patch features, None where none were asked for."""

    vector: NDArray[np.float32]
    grid: FeatureGrid | None = None


class FrameEncoder(Protocol):
    """Frames to vectors.

    Attributes:
        model, space, licence: Of the vectors: name, identity of their space, licence of the weights.
    """

    model: str
    space: str
    licence: str

    def __call__(self, frames: Sequence[Frame]) -> list[FrameVectors]:
        """What it gives of each frame. Raises PerceptionError where the model's numbers are not finite."""
        ...


@lru_cache(maxsize=1)
def frame_encoder(settings: EmbedSettings) -> FrameEncoder:
    """The encoder that the settings name; loaded once in a process. Raises ModelError, PerceptionError."""
    from perception_contrast_training.engine.resume import RECIPE

    if settings.model == THUMBNAIL:
        return _Thumbnails()
    path = Path(settings.model).expanduser()
    if path.suffix.lower() == ".onnx":
        return _OnnxEncoder(path, settings)
    if (path / RECIPE).is_file():
        return _of_run(path, settings)
    name = settings.model
    return _RunnerEncoder(f"./{name}" if "/" not in name and path.is_dir() else name, settings)


class _Thumbnails:
    """Contrast and colour of 16 x 16 parts, which costs nothing and needs no model."""

    model, space, licence = THUMBNAIL, THUMBNAIL, "none needed"

    def __call__(self, frames: Sequence[Frame]) -> list[FrameVectors]:
        from perception_contrast_training.data.curation.descriptors import ThumbnailDescriptor

        return [FrameVectors(one) for one in ThumbnailDescriptor()([frame.image for frame in frames])]


class _RunnerEncoder:
    """A model of the registry, on any engine, as the nodes run it: its vectors are the nodes' own."""

    def __init__(self, name: str, settings: EmbedSettings) -> None:
        from perception_contrast.encoders.load_encoders import load_encoders
        from perception_contrast.models.registry import LIT_TOWER, model_spec
        from perception_contrast.pipeline.image_encoder_runner import ImageEncoderRunner
        from perception_contrast.pipeline.image_features import FeatureRequest
        from perception_contrast.pipeline.pipeline_settings import PipelineSettings

        spec = model_spec(name)
        spatial = LIT_TOWER if spec.family == "lit" else name
        if settings.patches == LANGUAGE and not spec.knows_words:
            raise PerceptionError(
                f"'{spec.name}' knows no words, so its patches cannot be compared with any; choose "
                "--patch-features spatial, or household-lit, a CLIP or a SigLIP as --model"
            )
        language = name if spec.knows_words else "none"
        encoders = load_encoders(spatial, language, device=settings.device, offline=settings.offline)
        self._runner = ImageEncoderRunner(encoders, settings.engine, settings.precision)
        self._settings = PipelineSettings(short_side=settings.short_side)
        self._patches = settings.patches
        self._request = FeatureRequest(
            features=settings.patches not in ("", LANGUAGE),
            semantic=settings.patches == LANGUAGE,
            embedding=True,
        )
        self.model, self.licence = spec.name, spec.licence
        self.space = encoders.spatial.space if encoders.language is None else encoders.language.space
        self._prepared = settings.engine in ("torch", "")

    def __call__(self, frames: Sequence[Frame]) -> list[FrameVectors]:
        if not self._prepared:
            # Chosen before the first batch, so that all of a run is computed by one engine.
            self._runner.prepare(frames[0].size, self._settings)
            self._prepared = True
        pending = self._runner.encode(frames, self._request, self._settings, lambda _: nullcontext())
        found = []
        for one in pending:
            features = one()
            assert features.embedding is not None
            grid = features.semantic if self._patches == LANGUAGE else features.features
            found.append(FrameVectors(_finite(features.embedding, self.model), grid))
        return found


class _OnnxEncoder:
    """A file of `perception-contrast export`; images are stretched to the file's size."""

    def __init__(self, path: Path, settings: EmbedSettings) -> None:
        from perception_contrast.encoders.base import Role, output_with
        from perception_contrast.engines.export.exported_encoder import ExportedEncoder
        from perception_contrast.pipeline.detector.exported_detector import exported_providers

        self._encoder = ExportedEncoder(path, exported_providers(settings.device))
        outputs = self._encoder.outputs
        pooled = output_with(outputs, Role.LANGUAGE_POOLED) or output_with(outputs, Role.SPATIAL_POOLED)
        if pooled is None:
            raise ModelError(f"'{path}' gives no vector of a whole image; export the model again")
        wanted = Role.LANGUAGE if settings.patches == LANGUAGE else Role.SPATIAL
        dense = output_with(outputs, wanted) if settings.patches else None
        if settings.patches and dense is None:
            raise PerceptionError(f"'{path}' gives no {settings.patches} patch features; see its outputs")
        self._pooled, self._dense = pooled.name, None if dense is None else dense.name
        self.model, self.licence = self._encoder.facts.model, self._encoder.facts.licence
        self.space = pooled.space

    def __call__(self, frames: Sequence[Frame]) -> list[FrameVectors]:
        found = []
        for frame in frames:
            seen = self._encoder.see(frame.image)
            grid = (
                None
                if self._dense is None
                else self._encoder.grid(self._dense, seen[self._dense], frame.size)
            )
            found.append(FrameVectors(_finite(unit_vectors(seen[self._pooled]), self.model), grid))
        return found


def _of_run(run: Path, settings: EmbedSettings) -> FrameEncoder:
    """The encoder of a training run, as `train export` would write it; the space is that one's too."""
    from dataclasses import replace

    from perception_contrast_training.engine.load_run import load_run
    from perception_contrast_training.export.export_files import served_by, write_weights
    from perception_contrast_training.export.export_run import spec_of

    trained = load_run(run)
    with tempfile.TemporaryDirectory(prefix="perception_contrast_") as folder:
        write_weights(Path(folder), spec_of(trained), served_by(trained))
        return _RunnerEncoder(folder, replace(settings, model=folder))


def _finite(vector: NDArray[Any], model: str) -> NDArray[np.float32]:
    if not np.isfinite(vector).all():
        raise ModelError(f"'{model}' gives vectors that are not finite; its weights are broken")
    return np.asarray(vector, np.float32)
