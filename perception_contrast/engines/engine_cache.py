"""The engine cache: files that this machine built, kept so that the next start is quick."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from perception_contrast.core.cache import cache_dir
from perception_contrast.core.errors import ModelError
from perception_contrast.core.version import __version__
from perception_contrast.encoders.encoder_graph import EncoderGraph
from perception_contrast.engines.cpu_features import cpu_name

logger = logging.getLogger(__name__)

PACKAGES = (
    "torch", "onnxruntime-gpu", "onnxruntime", "openvino", "nncf", "tensorrt", "tensorrt_cu12",
    "tensorrt_cu13",
)  # fmt: skip


def engines_dir() -> Path:
    """Where engine files and measurements are kept. Not created here."""
    return cache_dir() / "engines"


@cache
def machine_facts(device: str) -> dict[str, str]:
    """What an engine's speed and file depend on beside the model: processor, GPU, driver, versions."""
    facts = {"package": __version__, "cpu": cpu_name(), "threads": str(threads())}
    for name in PACKAGES:
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            continue
    if torch.device(device).type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts["gpu"] = f"{properties.name} sm_{properties.major}{properties.minor}"
        facts["driver"] = _driver()
    return facts


def threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def key_of(graph: EncoderGraph, size: tuple[int, int], **facts: str) -> str:
    """Hexadecimal digest of the model's identity, the image size and ``facts``."""
    held = {
        "space": graph.space,
        "tower": graph.encoder.backbone.space,
        "method": graph.method,
        "outputs": list(graph.names),
        "size": list(size),
    }
    return hashlib.sha256(json.dumps({**held, **facts}, sort_keys=True).encode()).hexdigest()[:16]


def file_of(graph: EncoderGraph, size: tuple[int, int], precision: str, **facts: str) -> Path:
    """Where the ONNX file of this graph, size and precision is kept."""
    key = key_of(graph, size, precision=precision, package=__version__, **facts)
    height, width = size
    return engines_dir() / f"{graph.model}-{height}x{width}-{precision}-{key}.onnx"


class EngineFileError(ModelError):
    """A file in the engine cache cannot be written or loaded: another start may fare better."""


def remove(path: Path) -> None:
    """Deletes an engine's file, and the weights beside it where they have a file of their own."""
    path.unlink(missing_ok=True)
    if path.suffix == ".xml":
        path.with_suffix(".bin").unlink(missing_ok=True)


@contextmanager
def engine_file(
    path: Path, make: Callable[[Path], None], written: Callable[[Path], None] | None = None
) -> Iterator[Path]:
    """The file of an engine while it is loaded, written where an earlier start left none.

    Where the cache cannot be written the file stands in a temporary folder and goes after the block.

    Args:
        path: its place in the cache.
        make: writes it.
        written: told of the place before it is written there.

    Yields:
        Where it is.

    Raises:
        ModelError: ``make`` failed.
    """
    if path.exists():
        yield path
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        logger.warning(
            "the engine cache %s cannot be written (%s); engines are built anew at each start",
            path.parent,
            error,
        )
        with tempfile.TemporaryDirectory(prefix="perception_contrast_") as folder:
            there = Path(folder) / path.name
            make(there)
            yield there
        return
    if written is not None:
        written(path)
    make(path)
    yield path


def _driver() -> str:
    path = Path("/proc/driver/nvidia/version")
    return (
        path.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0] if path.exists() else "unknown"
    )
