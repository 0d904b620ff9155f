"""What is read from vector files, encoded datasets and a map's memory; what is refused and why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nicegui")

from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.files import load_image, save_image
from perception_contrast.memory.memory_store import MemoryStore
from perception_contrast.memory.sightings import Sighting
from perception_contrast_studio.points.pictures import FilePictures, thumbnail
from perception_contrast_studio.points.source_list import image_folders, vector_files
from perception_contrast_studio.points.sources import EncodedDataset, MapMemory, VectorFile
from perception_contrast_studio.tasks.encoders.encoder_list import words_refusal
from perception_contrast_studio.tasks.points.encoded_points import dataset_folder, find_encoded
from perception_contrast_studio.tasks.points.point_sources import opened


def tell(fraction: float, text: str) -> None:
    """Nobody listens."""


def saved(folder: Path, **arrays: object) -> VectorFile:
    np.savez(folder / "points.npz", **arrays)
    return VectorFile(folder / "points.npz", folder)


def test_a_vector_file_with_everything(tmp_path):
    source = saved(
        tmp_path,
        vectors=np.array([[3.0, 4.0], [0.0, 2.0], [1.0, 0.0]]),
        labels=np.array(["mug", "", "bowl"]),
        stamps=np.array([5, -1, 7]),
        bags=np.array(["a", "b", "a"]),
        space=np.array("clip@0123"),
        model=np.array("clip"),
    )
    points, vectors = opened(source)
    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0, 1], [1, 0]], atol=1e-6)
    assert [points.label_of(index) for index in range(3)] == ["mug", "", "bowl"]
    assert [points.bag_of(index) for index in range(3)] == ["a", "b", "a"]
    assert (points.space, points.model, points.has_times) == ("clip@0123", "clip", True)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"other": np.zeros((3, 2))}, "'vectors'"),
        ({"vectors": np.zeros((3, 2), int)}, "float"),
        ({"vectors": np.ones((3, 2)), "labels": np.zeros(2, int)}, "'labels' has shape"),
        ({"vectors": np.full((3, 2), np.nan)}, "not finite"),
        ({"vectors": np.ones((1, 2))}, "two or more"),
    ],
)
def test_vector_files_that_are_refused_say_why(tmp_path, arrays, reason):
    with pytest.raises(PerceptionError, match=reason):
        opened(saved(tmp_path, **arrays))


def test_pickled_objects_are_not_loaded(tmp_path):
    source = saved(tmp_path, vectors=np.ones((3, 2)), labels=np.array([{}, {}, {}], object))
    with pytest.raises(PerceptionError, match="allow_pickle"):
        opened(source)


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path):
    save_image(tmp_path / "secret.png", np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "data").mkdir()
    with pytest.raises(PerceptionError, match="outside"):
        FilePictures(tmp_path / "data", ["../secret.png"]).read(0)


def test_a_thumbnail_keeps_the_shape(tmp_path):
    save_image(tmp_path / "a.png", np.full((400, 800, 3), 90, np.uint8))
    (tmp_path / "b.jpg").write_bytes(thumbnail((tmp_path / "a.png").read_bytes(), "a"))
    assert load_image(tmp_path / "b.jpg").shape == (112, 224, 3)


def test_objects_of_a_memory_are_means_of_their_sightings(tmp_path):
    def seen(object_id: int, label: str, vector: list[float], stamp: int) -> Sighting:
        return Sighting(
            stamp=stamp, object_id=object_id, label=label, low=(0, 0, 0), high=(1, 1, 1),
            vector=np.array(vector, np.float32), space="lit@1", thumbnail=b"jpeg%d" % stamp,
        )  # fmt: skip

    path = tmp_path / "memory.sqlite"
    with MemoryStore(path) as memory:
        memory.add([seen(1, "mug", [1, 0], 1), seen(1, "mug", [0, 1], 3), seen(1, "cup", [0, 1], 2)])
        memory.add([seen(2, "bowl", [0, 1], 4)])
    points, vectors = opened(MapMemory(path, "home", "objects"))
    by_name = {points.name_of(row): row for row in range(2)}
    first = by_name["object 1"]
    assert points.label_of(first) == "mug" and points.stamps[first] == 3
    np.testing.assert_allclose(vectors[first], np.array([1, 2]) / np.sqrt(5), atol=1e-3)
    assert points.pictures is not None and points.pictures.read(first) == b"jpeg3"
    sightings, _ = opened(MapMemory(path, "home", "sightings"))
    assert len(sightings) == 4


def test_words_need_a_text_tower_and_a_known_space():
    assert words_refusal("household-lit", "household-lit@1") == ""
    assert "no text tower" in words_refusal("dinov2-s14", "dinov2-s14@1")
    assert "do not say" in words_refusal("", "")
    assert "unknown model" in words_refusal("no-such-model", "x@1")


def test_an_encoded_dataset_is_found_until_it_changes(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    from perception_contrast_studio.tasks.encoders import image_encoders
    from perception_contrast_studio.tasks.points import embedding
    from perception_contrast_training.evaluation.encoding import EncoderAdapter

    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "data"
    for number, colour in enumerate([(200, 0, 0), (0, 200, 0), (0, 0, 200)]):
        (data / f"class{number % 2}").mkdir(parents=True, exist_ok=True)
        image = np.full((20, 30, 3), colour, np.uint8)
        save_image(data / f"class{number % 2}" / f"{number}.png", image)
    (data / "class0" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    means = EncoderAdapter(
        "tiny",
        "tiny@1",
        lambda images: images.mean(dim=(2, 3)),
        16,
        (0, 0, 0),
        (1, 1, 1),
        torch.device("cpu"),
    )
    loads = []
    monkeypatch.setattr(image_encoders, "load_image_side", lambda *_: loads.append(1) or means)
    monkeypatch.setattr(embedding, "PART", 2)
    assert find_encoded(tell, data, "tiny") is None

    def stop(fraction: float, text: str) -> None:
        if fraction > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embedding.encode_dataset(stop, data, "tiny")
    done = list(dataset_folder(data).rglob("part_*.npz"))
    assert len(done) == 1 and find_encoded(tell, data, "tiny") is None
    before = done[0].stat().st_mtime_ns
    encoded: list[float] = []
    embedding.encode_dataset(lambda fraction, text: encoded.append(fraction), data, "tiny")
    assert min(one for one in encoded if one) > 0.5 and before
    place = find_encoded(tell, data, "tiny")
    points, vectors = opened(EncodedDataset(data, "tiny", place))
    assert [points.label_of(row) for row in range(3)] == ["class0", "class0", "class1"]
    assert vectors.argmax(axis=1).tolist() == [0, 2, 1]
    assert "1 image(s) cannot be read" in points.remarks[0]
    save_image(data / "class0" / "new.png", np.zeros((8, 8, 3), np.uint8))
    assert find_encoded(tell, data, "tiny") is None


def test_sources_of_a_folder(tmp_path):
    source = saved(tmp_path, vectors=np.ones((3, 2)))
    assert vector_files([tmp_path]) == [source] and image_folders([tmp_path]) == []
    save_image(tmp_path / "deep.png", np.zeros((4, 4, 3), np.uint8))
    assert image_folders([tmp_path]) == [tmp_path]
