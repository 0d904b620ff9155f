"""``load``: models by name, and the detector that runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from perception_contrast.core.errors import ModelError
from perception_contrast.models.registry import MODELS, model_spec
from perception_contrast.pipeline.detector.base import Detector
from perception_contrast.pipeline.pipeline_settings import PipelineSettings

SPATIAL_MODEL = "dinov2-s14"
ONNX_SUFFIX = ".onnx"


def load(
    model: str | Path = "household-lit",
    language_model: str | Path | None = None,
    *,
    device: str = "auto",
    engine: str = "torch",
    precision: str = "auto",
    background: bool = True,
    dense: str = "auto",
    offline: bool = False,
    settings: PipelineSettings | None = None,
    calibration: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
    place: str = "",
    heads: Sequence[str | Path] = (),
) -> Detector:
    """Loads models by name and makes a detector of them.

    >>> load("household-lit")  # or "siglip2-b16", an exported folder, an ONNX file
    >>> load("dinov2-b14", "siglip2-b16")  # a spatial model and a language model

    Args:
        model: A model of `perception-contrast models list`, ``timm:ARCHITECTURE``, an exported folder, or an
            ONNX file of `perception-contrast export`. A model that knows words becomes the language model,
            beside dinov2-s14 as the spatial model.
        language_model: The model that compares images with words, if ``model`` is the spatial model; "none"
            for no language model.
        device: "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:N".
        engine: "torch", "auto" (measures which engine is fastest and remembers it), or the name of an engine.
            An ONNX file runs on ONNX Runtime, or with "openvino" on OpenVINO.
        precision: Precision of the engine; "auto" lets the engine choose and leaves a file its own.
        background: Whether the engine is chosen while images are processed. With False it is chosen between
            two images, at the eighth image of a size, so that each run over the same images is alike.
        dense: Method for the dense features of a CLIP; "auto" takes the best one for the model.
        offline: Never use the network; weights must be in the cache.
        settings: Image size, tiles, splitting and others. Thresholds come with each call.
        calibration: A file of `perception-contrast calibrate`; None takes the one in the cache, if any.
        progress: Is called with lines that say what is being loaded.
        place: A place that was measured by `perception-contrast calibrate --unlabelled`; its threshold then
            applies to texts. "" for none.
        heads: Trained heads of `perception-contrast train head`, by their names or paths. Their classes are
            reported beside the queries.

    Returns:
        The detector; close it, or use it in a ``with``.

    Raises:
        ModelError: The model is unknown, its weights are missing or wrong, the device or engine is not
            available, or the place was not measured.
        SpaceError: The calibration or a head is of another model.
    """
    name = _name_of(model)
    if name.lower().endswith(ONNX_SUFFIX):
        if heads:
            raise ModelError(
                f"'{name}' is an ONNX file, which runs without heads; load the model it was exported from by "
                f"its name, beside head '{heads[0]}'"
            )
        return _of_file(name, language_model, device, engine, precision, settings)
    spatial, language = _roles(name, None if language_model is None else _name_of(language_model))
    from perception_contrast.pipeline.build import build
    from perception_contrast.pipeline.detector.pipeline_detector import PipelineDetector

    pipeline = build(
        spatial,
        language,
        device=device,
        offline=offline,
        settings=settings,
        progress=progress,
        engine=engine,
        precision=precision,
        background=background,
        dense=dense,
        calibration=None if calibration is None else Path(calibration).expanduser(),
        place=place,
        place_needed=True,
        heads=[str(one) for one in heads],
    )
    return PipelineDetector(pipeline, _resolved(device))


def _of_file(
    name: str,
    language_model: str | Path | None,
    device: str,
    engine: str,
    precision: str,
    settings: PipelineSettings | None,
) -> Detector:
    if language_model not in (None, "none"):
        raise ModelError(
            f"'{name}' is an ONNX file, which runs without a language model; load the model it was "
            f"exported from by its name, beside '{language_model}'"
        )
    from perception_contrast.pipeline.detector.exported_detector import ExportedDetector

    return ExportedDetector(
        Path(name).expanduser(),
        device=device,
        settings=settings,
        engine="onnxruntime" if engine in ("torch", "auto") else engine,
        precision="" if precision == "auto" else precision,
    )


def _resolved(device: str) -> str:
    import torch

    return device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def _name_of(model: str | Path) -> str:
    """A model's name; a folder's path in the form that tells it from a name."""
    name = str(model)
    is_bare_folder = name not in MODELS and "/" not in name and Path(name).is_dir()
    if is_bare_folder or (isinstance(model, Path) and not name.startswith(("/", ".", "~"))):
        return f"./{name}"
    return name


def _roles(model: str, language_model: str | None) -> tuple[str, str]:
    """(spatial model, language model) of what ``load`` was given."""
    if language_model is not None:
        return model, language_model
    spec = model_spec(model)
    if spec.knows_words:  # a student sees for both in one pass
        return (model if spec.family == "student" else SPATIAL_MODEL), model
    return model, "none"
