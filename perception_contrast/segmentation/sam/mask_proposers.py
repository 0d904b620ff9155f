"""Masks of boxes by ONNX files of the SAM family: one seam, two interfaces, ONNX Runtime and no torch.

The interfaces are those that the authors' own exports write: of segment-anything
(``scripts/export_onnx_model.py``, ``segment_anything/utils/onnx.py``), which MobileSAM took over, and of
EfficientSAM (``export_to_onnx.py``, ``onnx_models.py``). A file's inputs say which one it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from perception_contrast.core.arrays import BoolMask, FloatArray, Size
from perception_contrast.core.errors import ModelError
from perception_contrast.images.resize import resize_image
from perception_contrast.preprocessing.to_array import normalised

LONG_SIDE = 1024  # of the square that all of the family see
# SAM's pixel_mean 123.675, 116.28, 103.53 and pixel_std 58.395, 57.12, 57.375, of RGB in [0, 1].
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CORNERS = (2.0, 3.0)  # labels of the points that are a box's top left and bottom right
MASK_INPUT = (1, 1, 256, 256)  # an earlier mask as a prompt, a quarter of the square; never given here

_SAM_DECODER = frozenset(
    ("image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size")
)
_EFFICIENT_ENCODER = frozenset(("batched_images",))
_EFFICIENT_PROMPTS = frozenset(("batched_point_coords", "batched_point_labels"))
_EFFICIENT = _EFFICIENT_ENCODER | _EFFICIENT_PROMPTS
_EFFICIENT_DECODER = _EFFICIENT_PROMPTS | {"image_embeddings", "orig_im_size"}
_KNOWN = (
    "known are two files of segment-anything or MobileSAM (an encoder with the image as its one input, and "
    "a decoder with image_embeddings, point_coords, point_labels, mask_input, has_mask_input, orig_im_size) "
    "and one or two files of EfficientSAM (batched_images, batched_point_coords, batched_point_labels)"
)


class MaskProposer(Protocol):
    """What draws the things in boxes."""

    def propose(self, image: NDArray[np.uint8], boxes: FloatArray) -> tuple[BoolMask, FloatArray]:
        """image (H, W, 3) uint8 RGB, boxes (n, 4) to masks (n, H, W) and predicted qualities (n,) float32.

        boxes: (x_min, y_min, x_max, y_max), pixel edges as in ``Detection.box``. quality: the IoU that the
        model expects of its mask with the true one. Raises ModelError, naming the file, if it fails.
        """


class Graph:
    """One ONNX file, ready to run. inputs: name to declared shape, a name or None where it is free."""

    def __init__(self, path: Path, providers: Sequence[Any]) -> None:
        """Raises ModelError for a file that is absent or that ONNX Runtime cannot load."""
        self.path = path
        self._session = _session(path, providers)
        self.inputs: dict[str, list[int | str | None]] = {
            one.name: list(one.shape) for one in self._session.get_inputs()
        }
        self.outputs = tuple(str(one.name) for one in self._session.get_outputs())

    def __str__(self) -> str:
        return f"{self.path} (inputs {', '.join(self.inputs)}; outputs {', '.join(self.outputs)})"

    def run(self, feed: Mapping[str, NDArray[Any]], *outputs: str) -> list[FloatArray]:
        """The outputs asked for by name. Raises ModelError if ONNX Runtime fails."""
        try:
            return list(self._session.run(list(outputs), dict(feed)))
        except Exception as error:  # ONNX Runtime raises a dozen kinds without a common base
            raise ModelError(f"{self.path} failed: {_line(error)}") from error


class SegmentAnything:
    """The two files of segment-anything and of MobileSAM.

    encoder: one input, (1, 3, 1024, 1024) float32 that is normalised and padded here, or (H, W, 3) where
    the file does both itself (samexporter's ``--use-preprocess``). The decoder takes one box a run.
    """

    def __init__(self, encoder: Graph, decoder: Graph) -> None:
        """Raises ModelError for an encoder of another image size, a decoder without its outputs."""
        self._encoder, self._decoder = encoder, decoder
        self._input, shape = next(iter(encoder.inputs.items()))
        self._raw = len(shape) == 3
        _require_outputs(decoder, "masks", "iou_predictions")
        if not self._raw and [side for side in shape[2:] if isinstance(side, int) and side != LONG_SIDE]:
            raise ModelError(
                f"{encoder.path} takes images of {shape[3]}x{shape[2]}; known are those of "
                f"{LONG_SIDE}x{LONG_SIDE}: export it so"
            )

    def propose(self, image: NDArray[np.uint8], boxes: FloatArray) -> tuple[BoolMask, FloatArray]:
        """As ``MaskProposer.propose``."""
        source = _size(image)
        seen = fitted(source)
        fixed = {
            "image_embeddings": self._embeddings(image, seen),
            "mask_input": np.zeros(MASK_INPUT, np.float32),
            "has_mask_input": np.zeros(1, np.float32),
            "orig_im_size": np.array(source, np.float32),
            "point_labels": np.array([CORNERS], np.float32),
        }
        drawn: list[tuple[BoolMask, float]] = []
        for corners in corners_of(boxes, source, seen):
            feed = {**fixed, "point_coords": corners[None]}
            masks, quality = self._decoder.run(feed, "masks", "iou_predictions")
            drawn += _best(self._decoder, masks[None], quality[None], source, source)
        return _stacked(drawn, source)

    def _embeddings(self, image: NDArray[np.uint8], seen: Size) -> FloatArray:
        pixels = shrunk(image, seen)
        values = pixels.astype(np.float32) if self._raw else padded(normalised(pixels, MEAN, STD))
        return self._encoder.run({self._input: values}, self._encoder.outputs[0])[0]


class EfficientSam:
    """The one file of EfficientSAM, or its encoder and decoder. They resize and normalise themselves.

    Of one file whose export fixes the number of prompts to one, each box costs a whole pass.
    """

    def __init__(self, decoder: Graph, encoder: Graph | None = None) -> None:
        """decoder: or the one file. Raises ModelError for one that cannot take a box, or lacks outputs."""
        self._decoder, self._encoder = decoder, encoder
        _require_outputs(decoder, "output_masks", "iou_predictions")
        _, prompts, points, _ = decoder.inputs["batched_point_coords"]
        if isinstance(points, int) and points != len(CORNERS):
            raise ModelError(
                f"{decoder.path} takes {points} point(s) a prompt, and a box is two; "
                "export it with batched_point_coords dynamic in axis 2"
            )
        if isinstance(prompts, int) and prompts != 1:
            raise ModelError(f"{decoder.path} takes {prompts} prompts a run; export it with 1 or any number")
        self._one_by_one = isinstance(prompts, int)

    def propose(self, image: NDArray[np.uint8], boxes: FloatArray) -> tuple[BoolMask, FloatArray]:
        """As ``MaskProposer.propose``."""
        source = _size(image)
        # They make a square of 1024 of any image, so a larger one would only cost.
        seen = fitted(source) if max(source) > LONG_SIDE else source
        fixed = self._fixed(shrunk(image, seen), seen)
        corners = corners_of(boxes, source, seen)
        drawn: list[tuple[BoolMask, float]] = []
        step = 1 if self._one_by_one else max(1, len(corners))
        for first in range(0, len(corners), step):
            some = corners[None, first : first + step]
            labels = np.broadcast_to(np.array(CORNERS, np.float32), some.shape[:3])
            feed = {
                **fixed,
                "batched_point_coords": some,
                "batched_point_labels": np.ascontiguousarray(labels),
            }
            masks, quality = self._decoder.run(feed, "output_masks", "iou_predictions")
            drawn += _best(self._decoder, masks, quality, seen, source)
        return _stacked(drawn, source)

    def _fixed(self, pixels: NDArray[np.uint8], seen: Size) -> dict[str, NDArray[Any]]:
        """What of the decoder's inputs is the same for all boxes."""
        images = {"batched_images": normalised(pixels, (0, 0, 0), (1, 1, 1))}
        if self._encoder is None:
            return {**images}
        embeddings = self._encoder.run(images, self._encoder.outputs[0])[0]
        return {"image_embeddings": embeddings, "orig_im_size": np.array(seen, np.int64)}


def load_mask_proposer(files: Path | Sequence[Path], device: str = "auto") -> MaskProposer:
    """The proposer that one or two ONNX files make, in either order.

    device: "cpu", or "auto", "cuda", "cuda:N" for a GPU if ONNX Runtime finds one. Raises ModelError for
    files that cannot be loaded and, saying what was found and what is known, for those of another kind.
    """
    paths = [files] if isinstance(files, Path) else list(files)
    graphs = [Graph(path, _providers(device)) for path in paths]
    if len(graphs) == 1 and graphs[0].inputs.keys() == _EFFICIENT:
        return EfficientSam(graphs[0])
    for encoder, decoder in itertools.permutations(graphs, 2) if len(graphs) == 2 else ():
        if decoder.inputs.keys() == _SAM_DECODER and _is_encoder(encoder):
            return SegmentAnything(encoder, decoder)
        if decoder.inputs.keys() == _EFFICIENT_DECODER and encoder.inputs.keys() == _EFFICIENT_ENCODER:
            return EfficientSam(decoder, encoder)
    raise ModelError(f"not files of the SAM family: {', '.join(map(str, graphs))}; {_KNOWN}")


# Pixels and coordinates.


def fitted(source: Size) -> Size:
    """(height, width) of an image whose long side is made 1024, as ``ResizeLongestSide`` rounds it."""
    scale = LONG_SIDE / max(source)
    height, width = (max(1, int(side * scale + 0.5)) for side in source)
    return height, width


def shrunk(image: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """image (H, W, 3) uint8 at (height, width): Pillow's antialiased bilinear, as SAM's predictor has it."""
    if _size(image) == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def padded(values: FloatArray) -> FloatArray:
    """(1, 3, h, w), normalised, as (1, 3, 1024, 1024) with zeros to the right and below."""
    height, width = values.shape[2:]
    return np.pad(values, ((0, 0), (0, 0), (0, LONG_SIDE - height), (0, LONG_SIDE - width)))


def corners_of(boxes: FloatArray, source: Size, seen: Size) -> FloatArray:
    """(n, 2, 2) float32, x and y of each box's two corners in an image of size ``seen``.

    boxes: (n, 4), pixel edges in an image of size ``source``. The family counts pixels, not edges: a box
    ends at its last pixel (``batched_mask_to_box``), and all is multiplied alike (``apply_coords``).
    """
    scale = np.array([seen[1] / source[1], seen[0] / source[0]])
    corners = boxes.reshape(-1, 2, 2) - np.array([[0.0, 0.0], [1.0, 1.0]])
    return np.asarray(corners * scale, np.float32)


# Results.


def _best(
    graph: Graph, logits: FloatArray, quality: FloatArray, shape: Size, size: Size
) -> list[tuple[BoolMask, float]]:
    """Of each box the candidate that is expected to be best: (H, W) bool of ``size`` and its quality.

    logits (1, n, k, h, w), quality (1, n, k): of n boxes, k candidates each. Raises ModelError for those of
    another ``shape`` than (h, w), or that do not belong together.
    """
    if logits.ndim != 5 or logits.shape[3:] != shape or quality.shape != logits.shape[:3]:
        raise ModelError(
            f"{graph.path} gave masks of shape {logits.shape} with qualities of shape {quality.shape} for a "
            f"image of {shape[1]}x{shape[0]}; it is another export than the known ones"
        )
    chosen = quality[0].argmax(axis=1)
    return [
        (resize_image(np.asarray(planes[place], np.float32), size) > 0.0, float(expected[place]))
        for planes, expected, place in zip(logits[0], quality[0], chosen, strict=True)
    ]


def _stacked(drawn: Sequence[tuple[BoolMask, float]], size: Size) -> tuple[BoolMask, FloatArray]:
    masks = np.zeros((len(drawn), *size), np.bool_)
    for place, (mask, _) in enumerate(drawn):
        masks[place] = mask
    return masks, np.array([quality for _, quality in drawn], np.float32)


def _size(image: NDArray[np.uint8]) -> Size:
    return int(image.shape[0]), int(image.shape[1])


# Files.


def _is_encoder(graph: Graph) -> bool:
    """Whether a file's one input is an image; its name differs from export to export."""
    shapes = list(graph.inputs.values())
    return len(shapes) == 1 and len(shapes[0]) in (3, 4) and graph.inputs.keys() != _EFFICIENT_ENCODER


def _require_outputs(graph: Graph, *names: str) -> None:
    if absent := [name for name in names if name not in graph.outputs]:
        raise ModelError(f"{graph} has no output {absent[0]}; {_KNOWN}")


def _providers(device: str) -> list[Any]:
    """Of ONNX Runtime, by preference; it takes the CPU where the GPU does not start."""
    import onnxruntime

    cpu = "CPUExecutionProvider"
    if device == "cpu" or "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return [cpu]
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    return [("CUDAExecutionProvider", {"device_id": device.partition(":")[2] or "0"}), cpu]


def _session(path: Path, providers: Sequence[Any]) -> Any:
    import onnxruntime

    if not path.is_file():
        raise ModelError(f"there is no file {path}; export a model of the SAM family to ONNX")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised here
    # A thread that spins while it waits would take the encoders' share of the cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # ONNX Runtime raises a dozen kinds without a common base
        raise ModelError(f"ONNX Runtime cannot load {path}: {_line(error)}; export it again") from error


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
