"""ONNX files of the SAM family in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import ModelError, one_line

KNOWN_EXPORTS = (
    "known are two files of segment-anything or MobileSAM (an encoder with the image as its one input, and "
    "a decoder with image_embeddings, point_coords, point_labels, mask_input, has_mask_input, orig_im_size) "
    "and one or two files of EfficientSAM (batched_images, batched_point_coords, batched_point_labels)"
)


class OnnxModel:
    """One ONNX file, ready to run.

    Attributes:
        path: of the file.
        inputs: name to declared shape; a free dimension is a name or None.
        outputs: names.
    """

    def __init__(self, path: Path, providers: Sequence[Any]) -> None:
        """Loads a file.

        Args:
            path: of the file.
            providers: execution providers, by preference.

        Raises:
            ModelError: the file is absent, or ONNX Runtime cannot load it.
        """
        self.path = path
        self._session = _session(path, providers)
        self.inputs: dict[str, list[int | str | None]] = {
            one.name: list(one.shape) for one in self._session.get_inputs()
        }
        self.outputs = tuple(str(one.name) for one in self._session.get_outputs())

    def __str__(self) -> str:
        return f"{self.path} (inputs {', '.join(self.inputs)}; outputs {', '.join(self.outputs)})"

    def run(self, feed: Mapping[str, NDArray[Any]], *outputs: str) -> list[FloatArray]:
        """The named outputs.

        Raises:
            ModelError: ONNX Runtime failed.
        """
        try:
            return list(self._session.run(list(outputs), dict(feed)))
        except Exception as error:  # ONNX Runtime raises a dozen kinds without a common base
            raise ModelError(f"{self.path} failed: {one_line(error)}") from error

    def require_outputs(self, *names: str) -> None:
        """Raises ModelError for an output that the file lacks."""
        if absent := [name for name in names if name not in self.outputs]:
            raise ModelError(f"{self} has no output {absent[0]}; {KNOWN_EXPORTS}")


def execution_providers(device: str) -> list[Any]:
    """Execution providers of a device, by preference; the CPU serves where the GPU does not start."""
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
    options.log_severity_level = 4  # failures are raised here
    # A thread that spins while it waits would take the encoders' share of the cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # ONNX Runtime raises a dozen kinds without a common base
        raise ModelError(f"ONNX Runtime cannot load {path}: {one_line(error)}; export it again") from error
