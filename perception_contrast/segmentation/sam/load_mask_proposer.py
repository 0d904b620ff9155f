"""Loads one or two ONNX files of the SAM family; their inputs tell which model they are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from perception_contrast.core.errors import ModelError
from perception_contrast.segmentation.sam.base import MaskProposer
from perception_contrast.segmentation.sam.efficient_sam import EfficientSam
from perception_contrast.segmentation.sam.onnx_model import KNOWN_EXPORTS, OnnxModel, execution_providers
from perception_contrast.segmentation.sam.segment_anything import SegmentAnything

_SAM_DECODER = frozenset(
    ("image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size")
)
_EFFICIENT_ENCODER = frozenset(("batched_images",))
_EFFICIENT_PROMPTS = frozenset(("batched_point_coords", "batched_point_labels"))
_EFFICIENT = _EFFICIENT_ENCODER | _EFFICIENT_PROMPTS
_EFFICIENT_DECODER = _EFFICIENT_PROMPTS | {"image_embeddings", "orig_im_size"}


def load_mask_proposer(files: Path | Sequence[Path], device: str = "auto") -> MaskProposer:
    """The mask proposer of one or two ONNX files, in either order.

    Args:
        files: of segment-anything, MobileSAM or EfficientSAM.
        device: "cpu", or "auto", "cuda", "cuda:N" for a GPU if ONNX Runtime finds one.

    Raises:
        ModelError: a file cannot be loaded, or the files are of another kind; says what was found and
            what is known.
    """
    paths = [files] if isinstance(files, Path) else list(files)
    models = [OnnxModel(path, execution_providers(device)) for path in paths]
    if len(models) == 1 and models[0].inputs.keys() == _EFFICIENT:
        return EfficientSam(models[0])
    for encoder, decoder in itertools.permutations(models, 2) if len(models) == 2 else ():
        if decoder.inputs.keys() == _SAM_DECODER and _is_sam_encoder(encoder):
            return SegmentAnything(encoder, decoder)
        if decoder.inputs.keys() == _EFFICIENT_DECODER and encoder.inputs.keys() == _EFFICIENT_ENCODER:
            return EfficientSam(decoder, encoder)
    raise ModelError(f"not files of the SAM family: {', '.join(map(str, models))}; {KNOWN_EXPORTS}")


def _is_sam_encoder(model: OnnxModel) -> bool:
    """Whether a file's one input is an image; its name differs from export to export."""
    shapes = list(model.inputs.values())
    return len(shapes) == 1 and len(shapes[0]) in (3, 4) and model.inputs.keys() != _EFFICIENT_ENCODER
