"""Writers of files on a full disk: one line with the file and the remedy, and nothing half written."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from perception_contrast.core.errors import PerceptionError, StorageError
from perception_contrast.core.file_writing import require_writable, writing
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.encoders import alignment_head, image_text_pair, rescoring_head
from perception_contrast.models import weights, wheels
from perception_contrast.models.registry import model_spec
from perception_contrast.models.specs import WheelFile
from perception_contrast.vocabulary.vocabulary_store import ALWAYS, VocabularyStore

LARGE = {"weight": torch.zeros(200_000)}


@contextmanager
def full_disk() -> Iterator[None]:
    """The system itself refuses files of more than 4 kB; Python ignores the signal that goes with it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@dataclass(frozen=True)
class _Config:
    dim: int = 1


def network() -> Any:
    return SimpleNamespace(state_dict=lambda: dict(LARGE), config=_Config())


def save_words(path: Path) -> None:
    image_text_pair.save_words(network(), path, "sha")


def save_alignment(path: Path) -> None:
    alignment_head.save_alignment(network(), path, {})


def save_rescoring(path: Path) -> None:
    rescoring_head.save_rescoring_head(network(), path, {})


@pytest.mark.parametrize("save", [save_words, save_alignment, save_rescoring])
def test_a_full_disk_is_one_line_with_file_and_remedy(tmp_path: Path, save: Callable[[Path], None]) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"the one before")
    with full_disk(), pytest.raises(StorageError, match="make room") as caught:
        save(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert [one.name for one in tmp_path.iterdir()] == [path.name] and path.read_bytes() == b"the one before"


def test_a_full_disk_while_weights_are_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = WheelFile("a-package", "1", (("model.onnx", "0" * 64),), 1, converted="0" * 64)
    spec = replace(model_spec("dinov2-b14"), name="a-model", hub=None, wheel=wheel)
    monkeypatch.setattr(weights, "dinov2_from_onnx", lambda source: dict(LARGE))
    monkeypatch.setattr(wheels, "fetch_members", lambda wheel, targets: None)
    with full_disk(), pytest.raises(PerceptionError, match=r"model\.safetensors.*make room") as caught:
        weights.weights_file(spec, cache=tmp_path)
    assert "onnect" not in str(caught.value), "a network does not help against a full disk"
    assert not list(tmp_path.rglob("*.part"))


def test_the_vocabulary_of_a_node_goes_on_without_its_file(tmp_path: Path) -> None:
    told: list[str] = []
    store = VocabularyStore(tmp_path / "node.safetensors", ALWAYS, told.append)
    many = Vocabulary.of([f"thing number {number}" for number in range(500)])
    with full_disk():
        store.save(many, {})
    assert len(told) == 1 and "node.safetensors" in told[0] and "make room" in told[0]
    assert store.load({}) is many


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="permissions"), writing(tmp_path / "file" / "x") as part:
        part.write_bytes(b"text")


def test_a_folder_that_takes_files_is_left_as_it_was(tmp_path: Path) -> None:
    require_writable(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    (tmp_path / "c").mkdir()
    require_writable(tmp_path / "c")
    assert list(tmp_path.iterdir()) == [tmp_path / "c"]


@pytest.mark.parametrize("folder", ["file", "file/run"])
def test_a_folder_that_takes_no_files_is_told_before_the_work(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match=f"nothing can be written to '.*{folder}'.*name another folder"):
        require_writable(tmp_path / folder)
    assert (tmp_path / "file").read_text() == "mine"
