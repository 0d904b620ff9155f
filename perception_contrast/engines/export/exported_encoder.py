"""Runs an exported encoder with NumPy and ONNX Runtime or OpenVINO: no torch, no model hub."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.cache import CHUNK_BYTES
from perception_contrast.core.errors import ModelError, one_line
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.encoders.base import EncoderOutput, Role
from perception_contrast.engines.openvino_model import (
    DEVICES,
    OpenVinoModel,
    openvino_core,
    openvino_line,
    require_precision,
)
from perception_contrast.models.specs import Triple
from perception_contrast.preprocessing.to_array import image_array

FORMAT, FORMAT_VERSION = "perception_contrast", "1"
INPUT = "images"
CPU = "CPUExecutionProvider"
ONNXRUNTIME, OPENVINO = "onnxruntime", "openvino"
# Roles of the outputs in files that were written before they were declared.
_ROLES_BY_NAME = {
    "tokens": (Role.SPATIAL,),
    "cls": (Role.SPATIAL_POOLED,),
    "dense": (Role.SPATIAL, Role.LANGUAGE),
    "image": (Role.SPATIAL_POOLED, Role.LANGUAGE_POOLED),
    "values": (Role.PROXY_VALUES,),
    "grid": (Role.LANGUAGE,),
    "picture": (Role.LANGUAGE_POOLED,),
    "things": (Role.INSTANCE_CUES,),
}
# The end of every file: an entry of the model's metadata as protocol buffers write it, "sha256" and
# the hexadecimal digest of all bytes before the entry.
_SEAL = b"\x72\x4a\x0a\x06sha256\x12\x40"
_DIGEST = 64

Arrays = dict[str, NDArray[np.float32]]


class UnservableError(ModelError):
    """A sound file with an operation that this machine's ONNX Runtime has not."""


def seal(data: bytes) -> bytes:
    """A serialised ONNX model with the sha256 of its bytes as one more entry of its metadata."""
    return data + _SEAL + hashlib.sha256(data).hexdigest().encode()


def require_seal(path: Path) -> None:
    """Raises ModelError unless the file was written by an export and every byte is as it was then."""
    if not path.is_file():
        raise ModelError(f"there is no file {path}; write one with `perception-contrast export`")
    try:
        _check_seal(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error


def _check_seal(path: Path) -> None:
    digest, left = hashlib.sha256(), path.stat().st_size - len(_SEAL) - _DIGEST
    with path.open("rb") as file:
        while left > 0 and (chunk := file.read(min(CHUNK_BYTES, left))):
            digest.update(chunk)
            left -= len(chunk)
        end = file.read()
    if not end.startswith(_SEAL):
        raise ModelError(
            f"{path} was not written by `perception-contrast export`, or it is cut short; export it again"
        )
    if end[len(_SEAL) :] != digest.hexdigest().encode():
        raise ModelError(f"{path} is damaged or was changed after its export; export it again")


@dataclass(frozen=True)
class Facts:
    """The metadata of an exported file.

    Attributes:
        model, space, family: of the encoder.
        outputs: names of the outputs, in order.
        spaces: output name to the space of its vectors.
        roles: output name to what it may be used for.
        dim: channels of the dense features; 0 in files that were written before it was declared.
        method: how dense features become comparable with text, "" if they do not.
        unit: outputs whose vectors have length 1.
        precision: of the matrix products.
        patch: side of a cell in pixels.
        size: (height, width) of the images.
        mean, std: of RGB in [0, 1].
        licence: of the weights.
    """

    model: str
    space: str
    family: str
    outputs: tuple[str, ...]
    spaces: Mapping[str, str]
    roles: Mapping[str, tuple[Role, ...]]
    dim: int
    method: str
    unit: tuple[str, ...]
    precision: str
    patch: int
    size: tuple[int, int]
    mean: Triple
    std: Triple
    licence: str

    @classmethod
    def of(cls, metadata: Mapping[str, str], path: Path) -> Facts:
        """Raises ModelError for a file of another program or of a later version of this one."""
        if metadata.get("format") != FORMAT:
            raise ModelError(f"{path} is an ONNX file, but not one of `perception-contrast export`")
        version = metadata.get("format_version")
        if version != FORMAT_VERSION:
            raise ModelError(
                f"{path} has format version {version}, and {FORMAT_VERSION} is understood; "
                "export it again with this version of the package"
            )
        try:
            height, width = json.loads(metadata["size"])
            outputs = tuple(json.loads(metadata["outputs"]))
            return cls(
                model=metadata["model"],
                space=metadata["space"],
                family=metadata["family"],
                outputs=outputs,
                spaces=json.loads(metadata["spaces"]),
                roles=_roles(metadata, outputs),
                dim=int(metadata.get("dim", 0)),
                method=metadata.get("dense", ""),
                unit=tuple(json.loads(metadata["unit"])),
                precision=metadata["precision"],
                patch=int(metadata["patch"]),
                size=(int(height), int(width)),
                mean=_triple(metadata["mean"]),
                std=_triple(metadata["std"]),
                licence=metadata["licence"],
            )
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"{path} does not say what it holds ({error}); export it again") from error


def _triple(text: str) -> Triple:
    red, green, blue = json.loads(text)
    return float(red), float(green), float(blue)


def _roles(metadata: Mapping[str, str], outputs: Sequence[str]) -> dict[str, tuple[Role, ...]]:
    declared = metadata.get("roles")
    if declared is None:
        return {name: _ROLES_BY_NAME.get(name, ()) for name in outputs}
    return {name: tuple(Role(one) for one in roles) for name, roles in json.loads(declared).items()}


class ExportedEncoder:
    """A file of `perception-contrast export`, ready to run.

    Args:
        path: the file.
        providers: of ONNX Runtime, by preference; the CPU's alone unless given.
        threads: of one image on the CPU, 0 for as many as there are cores.
        engine: "onnxruntime", or "openvino" for OpenVINO on the CPU.
        precision: of OpenVINO's products; "" for the file's own. "bf16" halves the time of a float32 file
            on processors that multiply it, and moves vectors by about a thousandth.

    Attributes:
        facts: what the file says of itself.
        providers: those in use.

    Raises:
        ModelError: the file is missing, damaged or not of this package, an engine or a provider cannot
            start, or the processor lacks the precision.
        UnservableError: this machine's ONNX Runtime lacks an operation of the file.
    """

    def __init__(
        self,
        path: str | Path,
        providers: Sequence[str] | None = None,
        threads: int = 0,
        *,
        engine: str = ONNXRUNTIME,
        precision: str = "",
    ) -> None:
        path = Path(path)
        require_seal(path)
        if threads < 0:
            raise ModelError(f"threads is {threads}; give a number of threads, or 0 for one a core")
        self._path = path
        self._session: Any = None
        if engine == OPENVINO and not providers:
            self.facts = Facts.of(_metadata_of_file(path), path)
            self._session = _OpenVinoSession(path, precision or self.facts.precision, threads)
        elif engine != ONNXRUNTIME or precision:
            raise ModelError(
                f"a file runs on {ONNXRUNTIME}, with its providers and its own precision, or on {OPENVINO}, "
                f"which has no providers; engine '{engine}' with precision '{precision}' is neither"
            )
        else:
            self._session = _session(path, list(providers) if providers else [CPU], threads)
            self.facts = Facts.of(_metadata(self._session, path), path)
        self._require_outputs()
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())

    def _require_outputs(self) -> None:
        """Raises ModelError where the metadata and the network do not name the same outputs."""
        facts, there = self.facts, {str(one.name) for one in self._session.get_outputs()}
        for name in facts.outputs:
            if name not in there or name not in facts.spaces or name not in facts.roles:
                raise ModelError(
                    f"{self._path} does not say what it holds (output {name!r}); export it again"
                )

    @property
    def outputs(self) -> tuple[EncoderOutput, ...]:
        """As ``ImageEncoder.outputs``."""
        facts = self.facts
        return tuple(
            EncoderOutput(name, facts.roles[name], facts.spaces[name], unit=name in facts.unit)
            for name in facts.outputs
        )

    def see(self, image: NDArray[np.uint8]) -> Arrays:
        """image (H, W, 3) uint8 RGB of any size to each output's array, without the batch axis.

        The image is stretched to the file's size. Raises ValueError for another shape or dtype.
        """
        facts = self.facts
        batch = self.run(image_array(image, facts.size, facts.mean, facts.std))
        return {name: values[0] for name, values in batch.items()}

    def features(self, image: NDArray[np.uint8]) -> dict[str, FeatureGrid]:
        """As ``see``, dense features alone, each with its space and where its cells lie in the image."""
        source = (int(image.shape[0]), int(image.shape[1]))
        return {
            name: self.grid(name, values, source)
            for name, values in self.see(image).items()
            if values.ndim == 3 and Role.INSTANCE_CUES not in self.facts.roles[name]
        }

    def run(self, images: NDArray[np.float32]) -> Arrays:
        """images (B, 3, H, W) float32, normalised, to float32 arrays that begin with the batch axis.

        Raises:
            ValueError: images of another size or dtype.
            ModelError: the engine failed.
        """
        expected = (3, *self.facts.size)
        if images.ndim != 4 or images.shape[1:] != expected or images.dtype != np.float32:
            raise ValueError(
                f"expected (B, {', '.join(map(str, expected))}) float32, got {images.shape} {images.dtype}"
            )
        names = self.facts.outputs
        try:
            values = self._session.run(list(names), {INPUT: images})
        except Exception as error:  # both raise kinds without a common base
            raise ModelError(f"{self._path} failed: {one_line(error)}; export it again") from error
        return dict(zip(names, values, strict=True))

    def grid(self, name: str, values: NDArray[np.float32], source: tuple[int, int]) -> FeatureGrid:
        """An output's array (h, w, c) of an image of (height, width) ``source``."""
        rows, columns = values.shape[:2]
        space = self.facts.spaces[name]
        return FeatureGrid(
            values=values,
            model=space.rsplit("@", 1)[0],
            space=space,
            grid_to_image=GridToImage.of_resize(source, (rows, columns)),
            image_size=source,
            normalized=name in self.facts.unit,
        )


class _OpenVinoSession:
    """A file in OpenVINO, behind what is used here of ONNX Runtime's sessions."""

    def __init__(self, path: Path, precision: str, threads: int) -> None:
        core = openvino_core(OPENVINO)
        require_precision(core, OPENVINO, precision)
        try:
            self._model = OpenVinoModel(core, path, DEVICES[OPENVINO], precision, threads)
        except RuntimeError as error:
            raise ModelError(
                f"OpenVINO cannot load {path}: {openvino_line(error)}; export it again"
            ) from error

    def get_outputs(self) -> list[_Named]:
        return [_Named(name) for names in self._model.outputs for name in names]

    def get_providers(self) -> list[str]:
        return [OPENVINO]

    def run(self, names: Sequence[str], inputs: Mapping[str, NDArray[np.float32]]) -> list[Any]:
        values = self._model.run(inputs[INPUT])
        place = {name: index for index, every in enumerate(self._model.outputs) for name in every}
        return [values[place[name]] for name in names]


@dataclass(frozen=True)
class _Named:
    name: str


def _metadata_of_file(path: Path) -> Mapping[str, str]:
    import onnx

    try:
        properties = onnx.load(str(path), load_external_data=False).metadata_props
        return {one.key: one.value for one in properties}
    except Exception as error:  # protocol buffers' own kinds
        raise ModelError(f"{path} does not say what it holds ({error}); export it again") from error


def _metadata(session: Any, path: Path) -> Mapping[str, str]:
    try:
        found: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
    except ValueError as error:  # bytes that are no text
        raise ModelError(f"{path} does not say what it holds ({error}); export it again") from error
    return found


def _session(path: Path, providers: list[str], threads: int) -> Any:
    """A session on the first of ``providers``. Raises ModelError if that one cannot serve the file."""
    import onnxruntime

    available = onnxruntime.get_available_providers()
    if absent := [name for name in providers if name not in available]:
        raise ModelError(
            f"ONNX Runtime here has no {absent[0]}; it has {', '.join(available)}. "
            "Choose one of these, or install a build with it (onnxruntime-gpu for NVIDIA)"
        )
    if "CUDAExecutionProvider" in providers and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is raised here
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime raises a dozen kinds without a common base
        line = one_line(error)
        if "NOT_IMPLEMENTED" in line:
            raise UnservableError(
                f"{providers[0]} cannot run {path}: {line}. bf16 needs a GPU; for the CPU export fp32 or fp16"
            ) from error
        raise ModelError(f"ONNX Runtime cannot load {path}: {line}; export it again") from error
    if providers[0] not in session.get_providers():
        raise ModelError(
            f"{providers[0]} is installed but does not start here: its driver or libraries are missing; "
            f"use {CPU}"
        )
    return session
