"""The targets by name. A target's module is imported only when it runs."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from fuzzing.target import Target

CORPUS = Path(__file__).with_name("corpus")


@dataclass(frozen=True)
class Entry:
    """A target.

    Attributes:
        place: "module:class" of the Target.
        about: What its inputs are and what reads them.
        ros: Whether it needs rclpy and the built messages.
    """

    place: str
    about: str
    ros: bool = False


def opened_target(place: str, scratch: Path) -> Target:
    """The Target of a place, for files in ``scratch``."""
    module, name = place.split(":")
    kind: type[Target] = getattr(importlib.import_module(module), name)
    return kind(scratch)


_ROOM = "fuzzing.targets"
TARGETS: Mapping[str, Entry] = MappingProxyType(
    {
        "image_files": Entry(
            f"{_ROOM}.images:ImageFiles", "JPEG, PNG, APNG, WebP, BMP, TIFF: image files and messages"
        ),
        "compressed_depth": Entry(f"{_ROOM}.images:CompressedDepth", "compressedDepth, PNG and RVL"),
        "messages": Entry(
            f"{_ROOM}.messages:Messages", "CDR of recorded messages: readers without ROS, and training"
        ),
        "ros_messages": Entry(
            f"{_ROOM}.ros_messages:RosMessages", "CDR of messages as nodes and clients get them", True
        ),
        "services": Entry(
            f"{_ROOM}.services:Services", "CDR of requests to the services of perception_node", True
        ),
        "parameters": Entry(
            f"{_ROOM}.parameters:Parameters", "parameters of perception_node, set atomically", True
        ),
        "mcap": Entry(f"{_ROOM}.bags:Mcap", ".mcap files, read by playback and by extraction"),
        "sqlite": Entry(f"{_ROOM}.bags:Sqlite", ".db3 files, read by playback and by extraction"),
        "metadata": Entry(f"{_ROOM}.bags:Metadata", "metadata.yaml beside a sound recording"),
        "vocabularies": Entry(f"{_ROOM}.vocabularies:VocabularyFiles", "vocabulary files"),
        "stored_vocabularies": Entry(
            f"{_ROOM}.vocabularies:StoredVocabularies", "a node's vocabulary of its last run"
        ),
        "recipes": Entry(f"{_ROOM}.recipes:Recipes", "training recipes with --set"),
        "safetensors": Entry(f"{_ROOM}.weights:Safetensors", "weights files"),
        "model_cards": Entry(f"{_ROOM}.weights:ModelCards", "model.json of exported models"),
        "onnx": Entry(f"{_ROOM}.weights:Onnx", "ONNX files: exported encoders, weights, mask proposals"),
    }
)


def have_ros() -> bool:
    """Whether targets that need ROS can run."""
    return all(importlib.util.find_spec(name) for name in ("rclpy", "perception_contrast_msgs"))


def corpus_files(name: str) -> list[Path]:
    """Inputs of a target that were once read wrongly."""
    folder = CORPUS / name
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
