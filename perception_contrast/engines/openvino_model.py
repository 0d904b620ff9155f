"""Networks in OpenVINO, on the processor, on Intel's GPUs and on Intel's NPUs. Imports no torch."""

from __future__ import annotations

import logging
import math
import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import ModelError, one_line
from perception_contrast.core.process.usage_reports import forbid_usage_reports

logger = logging.getLogger(__name__)

DEVICES = {"openvino": "CPU", "openvino-gpu": "GPU", "openvino-npu": "NPU"}
# Pixels of crops that are rescored, and less than anyone's whole image.
SMALL = 128 * 128
# OpenVINO's names of the formats that products are computed in; what is not 8 bits in int8 is too.
_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16", "int8": "INT8"}


@cache
def shared_core(openvino: Any) -> Any:
    """The one core of this process, for as long as it lives.

    Each core's processor plugin sets a signal stack, and puts the one before back when it ends. Of two that
    end in the order of their beginning the second puts back memory that is gone, and the next signal, such
    as Ctrl-C, ends the process.

    Args:
        openvino: the module.
    """
    return openvino.Core()


def openvino_core(kind: str) -> Any:
    """OpenVINO's core, where the device of an engine is there.

    Args:
        kind: one of ``DEVICES``.

    Raises:
        ModelError: OpenVINO is not installed, or it does not see the device.
    """
    forbid_usage_reports()
    try:
        import openvino
    except ImportError as error:
        raise ModelError(
            f"engine {kind} needs the library openvino, which is not installed ({error}); "
            "`pip install openvino`, or use engine auto"
        ) from error
    core, device = shared_core(openvino), DEVICES[kind]
    there = {name.split(".")[0] for name in core.available_devices}
    if device not in there:
        raise ModelError(
            f"engine {kind} needs OpenVINO's device {device}; it sees {', '.join(sorted(there)) or 'none'}. "
            "Install the device's driver, or use engine auto"
        )
    return core


def require_precision(core: Any, kind: str, precision: str) -> None:
    """Raises ModelError unless the device of an engine computes in a precision."""
    device = DEVICES[kind]
    able = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
    # GPUs and NPUs take float32 without naming it.
    if precision != "fp32" and _CAPABILITIES[precision] not in able:
        raise ModelError(
            f"OpenVINO computes no {precision} on this {device}; it has {', '.join(map(str, able))}"
        )


class OpenVinoModel:
    """A network that OpenVINO compiled, for images of one size and batches of any length.

    One image runs through a model of that static shape, compiled for latency. A batch runs through
    another one, compiled for throughput: its images are shared out among the streams, which run at the
    same time. The second is compiled when the first batch comes. Small images, which are crops and come in
    batches, all run through the second.

    Args:
        core: OpenVINO's.
        path: the ONNX file, or the .xml of OpenVINO's own two; its first input is the images.
        device: OpenVINO's name of the device.
        precision: of the products.
        threads: of the processor; 0 for all.
        cache: where a GPU or an NPU keeps what it compiled; None for nothing.

    Attributes:
        outputs: all names of each output.

    Raises:
        RuntimeError: OpenVINO cannot read or compile the file.
    """

    def __init__(
        self, core: Any, path: Path, device: str, precision: str, threads: int, cache: Path | None = None
    ) -> None:
        self._core, self._path, self._device = core, path, device
        self._lock = threading.Lock()
        self._settings = _settings(core, device, precision, threads, cache)
        single = self._compiled(1, "LATENCY")
        self.outputs = tuple(frozenset(one.get_names()) for one in single.outputs)
        self._shapes = [tuple(one.shape)[1:] for one in single.outputs]
        self._single: Any = single.create_infer_request()
        self._small = math.prod(tuple(single.inputs[0].shape)[2:]) <= SMALL
        # Several requests that run at once, for so many images each; made when the first batch comes.
        self._many: list[Any] = []
        self._any_length = device == "CPU"  # others take static shapes, or are slow with the rest

    def run(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Runs a batch. Any thread may call; they take turns.

        Args:
            images: (B, 3, H, W) float32.

        Returns:
            The outputs in order, new arrays.

        Raises:
            RuntimeError: OpenVINO failed.
        """
        # Requests read this memory and do not keep it: it must live until they have ended.
        images = np.ascontiguousarray(images)
        results = [np.empty((len(images), *shape), np.float32) for shape in self._shapes]
        with self._lock:
            if len(images) == 1 and self._single is not None:
                _bind(self._single, images, results)
                self._single.infer()
            elif len(images):
                self._run_batch(images, results)
        return results

    def _run_batch(self, images: NDArray[np.float32], results: list[NDArray[np.float32]]) -> None:
        count, requests = len(images), self._requests_of_batches()
        share = math.ceil(count / len(requests)) if self._any_length else 1
        parts = [slice(start, start + share) for start in range(0, count, share)]
        for first in range(0, len(parts), len(requests)):
            started: list[Any] = []
            try:
                for request, part in zip(requests, parts[first : first + len(requests)], strict=False):
                    _bind(request, images[part], [values[part] for values in results])
                    request.start_async()
                    started.append(request)
            finally:
                _wait_for_all(started)

    def forget_trial(self) -> None:
        """Frees the model that the gate needed and the use to come probably does not."""
        with self._lock:
            if self._small:
                self._drop_single()
            else:
                self._many = []

    def _drop_single(self) -> None:
        if self._many and self._many != [self._single]:
            self._single = None

    def _requests_of_batches(self) -> list[Any]:
        if not self._many:
            try:
                compiled = self._compiled(-1 if self._any_length else 1, "THROUGHPUT")
            except RuntimeError as error:
                # Whoever cleans the cache takes the file from under us.
                logger.warning(
                    "%s cannot be read again (%s); images of a batch run one by one", self._path, error
                )
                self._any_length, self._many = False, [self._single]
                return self._many
            count = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
            self._many = [compiled.create_infer_request() for _ in range(max(1, count))]
            if self._small:
                self._drop_single()
        return self._many

    def _compiled(self, batch: int, hint: str) -> Any:
        # Read each time: a model that is kept may hold all weights once more.
        model = self._core.read_model(str(self._path))
        shape = model.inputs[0].partial_shape
        model.reshape([batch, *(shape[axis].get_length() for axis in range(1, len(shape)))])
        return self._core.compile_model(model, self._device, {**self._settings, "PERFORMANCE_HINT": hint})


def _settings(core: Any, device: str, precision: str, threads: int, cache: Path | None) -> dict[str, Any]:
    if precision == "int8":
        # What stays in floating point beside the products in 8 bits.
        able = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
        precision = "bf16" if "BF16" in able else "fp16" if device != "CPU" else "fp32"
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _HINTS[precision]}
    if device == "CPU":
        # Threads that are bound to a processor would wait for whatever else runs on it.
        settings["ENABLE_CPU_PINNING"] = False
        return {**settings, "INFERENCE_NUM_THREADS": threads} if threads else settings
    if device == "NPU":
        del settings["INFERENCE_PRECISION_HINT"]  # it has one format, and refuses the name of another
    return {**settings, "CACHE_DIR": str(cache)} if cache is not None else settings


def _wait_for_all(requests: list[Any]) -> None:
    """Raises the first error once none of them writes any more."""
    errors = []
    for request in requests:
        try:
            request.wait()
        except RuntimeError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _bind(request: Any, images: NDArray[np.float32], results: list[NDArray[np.float32]]) -> None:
    """Lets a request read and write arrays of ours in place; they must outlive its run."""
    from openvino import Tensor as Shared

    request.set_input_tensor(Shared(images, shared_memory=True))
    for index, values in enumerate(results):
        request.set_output_tensor(index, Shared(values, shared_memory=True))


def openvino_line(error: Exception) -> str:
    """What an error of OpenVINO's says, without the place in its sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (told or [one_line(error)])[0]
