"""Published sets of labelled photographs, read in their own layouts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from PIL import Image

from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.images.files import save_image
from perception_contrast_training.photographs.base import LabelledPhoto, PhotoSet, readable_photos
from perception_contrast_training.photographs.naming import Naming, load_naming
from perception_contrast_training.photographs.open_photos import open_photos
from perception_contrast_training.photographs.splits import part_of

SIZE = (40, 60)


@pytest.fixture(scope="module")
def naming() -> Naming:
    return load_naming()


def photos(source: PhotoSet) -> list[LabelledPhoto]:
    return [source.photo(key) for key in source.keys]


def image(path: Path, seed: int = 0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)
    save_image(path, pixels)
    return pixels


def labels(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), values)


def halves(left: int, right: int, dtype: type = np.uint8) -> np.ndarray:
    values = np.full(SIZE, right, dtype)
    values[:, : SIZE[1] // 2] = left
    return values


def names_at(photo: LabelledPhoto, *points: tuple[int, int]) -> list[str]:
    """Names of the regions at (row, column), "" for none."""
    numbers = [int(photo.numbers[point]) for point in points]
    return [photo.regions[n - 1].name if n else "" for n in numbers]


LEFT, RIGHT = (20, 10), (20, 50)


def test_ade20k_as_it_is_published(tmp_path: Path, naming: Naming) -> None:
    root = tmp_path / "ADEChallengeData2016"
    image(root / "images" / "training" / "ADE_train_1.jpg")
    labels(root / "annotations" / "training" / "ADE_train_1.png", halves(24, 0))
    source = open_photos(root, naming)
    (photo,) = photos(source)
    assert names_at(photo, LEFT, RIGHT) == ["sofa", ""] and len(source.facts.names) == 148
    assert "BSD" in source.facts.licence and source.facts.dense


def test_a_folder_called_as_a_set_has_the_sets_names(tmp_path: Path, naming: Naming) -> None:
    image(tmp_path / "nyuv2" / "images" / "0001.jpg")
    labels(tmp_path / "nyuv2" / "labels" / "0001.png", halves(300, 0, np.uint16))
    (tmp_path / "nyuv2" / "classes.json").write_text('{"0": "(none)", "300": "refridgerator"}')
    (photo,) = photos(open_photos(tmp_path / "nyuv2", naming))
    assert names_at(photo, LEFT, RIGHT) == ["refrigerator", ""] and photo.facts.name == "nyuv2"


def test_the_file_of_nyu_is_read_as_matlab_wrote_it(tmp_path: Path, naming: Naming) -> None:
    """Columns first, names as characters behind references."""
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = pixels.transpose(2, 1, 0)[None]
        file["labels"] = halves(1, 0, np.uint16).T[None]
        file["#refs#/a"] = np.array([[ord(c)] for c in "desser"], np.uint16)
        file.create_dataset("names", (1, 1), h5py.ref_dtype)[0, 0] = file["#refs#/a"].ref
    (photo,) = photos(open_photos(tmp_path, naming))
    assert np.array_equal(photo.image, pixels) and names_at(photo, LEFT, RIGHT) == ["dresser", ""]


@pytest.mark.parametrize("content", [b"", b"no HDF5"])
def test_a_file_of_nyu_that_is_none_is_refused_by_name(
    tmp_path: Path, naming: Naming, content: bytes
) -> None:
    (tmp_path / "nyu_depth_v2_labeled.mat").write_bytes(content)
    with pytest.raises(PerceptionError, match="nyu_depth_v2_labeled"):
        open_photos(tmp_path, naming)


def coco_json(**more: object) -> dict[str, object]:
    return {
        "images": [{"id": 7, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}],
        "categories": [{"id": 62, "name": "chair"}, {"id": 63, "name": "couch"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 63, "segmentation": [[0, 0, 60, 0, 60, 40, 0, 40]]},
            {"id": 2, "image_id": 7, "category_id": 62, "segmentation": [[0, 0, 30, 0, 30, 40, 0, 40]]},
        ],
        **more,
    }


def test_coco_with_the_smaller_thing_in_front(tmp_path: Path, naming: Naming) -> None:
    pixels = image(tmp_path / "val2017" / "a.png")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val2017.json").write_text(json.dumps(coco_json()))
    (photo,) = photos(open_photos(tmp_path, naming))
    assert names_at(photo, LEFT, RIGHT) == ["chair", "sofa"] and all(one.thing for one in photo.regions)
    assert np.array_equal(photo.image, pixels) and not photo.facts.dense


def test_panoptic_coco(tmp_path: Path, naming: Naming) -> None:
    image(tmp_path / "train2017" / "a.png")
    segments = np.zeros((*SIZE, 3), np.uint8)
    segments[:, :30], segments[:, 30:] = (5, 0, 0), (0, 1, 0)  # 5 and 256, red first
    save_image(_made(tmp_path / "annotations" / "panoptic_train2017" / "a.png"), segments)
    stored = coco_json(
        categories=[{"id": 1, "name": "wall-brick"}, {"id": 2, "name": "table-merged"}],
        annotations=[{
            "image_id": 7, "file_name": "a.png",
            "segments_info": [{"id": 5, "category_id": 1}, {"id": 256, "category_id": 2}],
        }],
    )  # fmt: skip
    (tmp_path / "annotations" / "panoptic_train2017.json").write_text(json.dumps(stored))
    (photo,) = photos(open_photos(tmp_path, naming))
    assert names_at(photo, LEFT, RIGHT) == ["wall", "table"] and photo.facts.dense


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_voc_with_its_things_and_their_void_outline(tmp_path: Path, naming: Naming) -> None:
    root = tmp_path / "VOC2012"
    image(root / "JPEGImages" / "2007_1.jpg")
    classes, things = np.full(SIZE, 9, np.uint8), halves(1, 2)
    classes[:, 28:32] = things[:, 28:32] = 255
    labels(root / "SegmentationClass" / "2007_1.png", classes)
    labels(root / "SegmentationObject" / "2007_1.png", things)
    (photo,) = photos(open_photos(root, naming))
    assert names_at(photo, LEFT, RIGHT, (20, 30)) == ["chair", "chair", ""] and len(photo.regions) == 2


def test_yolo_polygons_and_boxes(tmp_path: Path, naming: Naming) -> None:
    image(tmp_path / "train" / "images" / "a.png")
    image(tmp_path / "train" / "images" / "b.png", 1)
    (tmp_path / "data.yaml").write_text("names: {0: couch, 1: mug}\nlicense: CC0\n")
    text = "0 0 0 0.5 0 0.5 1 0 1\n1 0.75 0.5 0.2 0.5\n"
    _made(tmp_path / "train" / "labels" / "a.txt").write_text(text)
    first, second = photos(open_photos(tmp_path, naming))
    assert names_at(first, LEFT, (20, 45), (2, 45)) == ["sofa", "mug", ""] and second.regions == ()
    assert first.facts.licence == "CC0" and first.facts.rest_is_other


def test_a_folder_for_each_class_knows_its_own_thing_alone(tmp_path: Path, naming: Naming) -> None:
    for name in ("granny smith", "shoes"):
        for number in range(3):
            image(tmp_path / name / f"{number}.png", number)
    source = open_photos(tmp_path, naming)
    assert [source.photo(key).regions[0].name for key in source.keys[:2]] == ["granny smith", "shoe"]
    assert not source.facts.rest_is_other and len(source.keys) == 6


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda root: None, "do not exist"),
        (lambda root: root.mkdir(), "none of the layouts"),
        (lambda root: [(root / part).mkdir(parents=True) for part in ("images", "labels")], "no class list"),
        (lambda root: _made(root / "data.yaml").write_text("path: ."), "names"),
        (lambda root: image(root / "images" / "validation" / "a.png"), "images/ but not all"),
        (lambda root: image(root / "JPEGImages" / "a.png"), "JPEGImages/ but not all"),
    ],
)  # fmt: skip
def test_what_is_no_set_is_refused_with_what_is_one(
    tmp_path: Path, naming: Naming, make: object, told: str
) -> None:
    make(tmp_path / "data")  # type: ignore[operator]
    with pytest.raises(PerceptionError, match=told):
        open_photos(tmp_path / "data", naming)


SMALLER = np.ones((10, 12), np.uint8)


def _folder_of_other_size(root: Path) -> None:
    image(root / "images" / "a.png")
    labels(root / "labels" / "a.png", SMALLER)
    (root / "classes.txt").write_text("wall\nfloor\n")


def _ade_of_other_size(root: Path) -> None:
    image(root / "images" / "training" / "a.jpg")
    labels(root / "annotations" / "training" / "a.png", SMALLER)


def _voc_of_other_size(root: Path) -> None:
    image(root / "JPEGImages" / "a.jpg")
    labels(root / "SegmentationClass" / "a.png", SMALLER)


def _voc_with_things_of_other_size(root: Path) -> None:
    image(root / "JPEGImages" / "a.jpg")
    labels(root / "SegmentationClass" / "a.png", np.ones(SIZE, np.uint8))
    labels(root / "SegmentationObject" / "a.png", SMALLER)


def _coco_of_other_size(root: Path) -> None:
    image(root / "images" / "a.png")
    stored = coco_json(images=[{"id": 7, "file_name": "a.png", "height": 10, "width": 12}])
    (root / "instances.json").write_text(json.dumps(stored))


def _panoptic_of_other_size(root: Path) -> None:
    image(root / "images" / "a.png")
    save_image(_made(root / "panoptic" / "a.png"), np.zeros((10, 12, 3), np.uint8))
    note = {"image_id": 7, "file_name": "a.png", "segments_info": [{"id": 0, "category_id": 62}]}
    (root / "panoptic.json").write_text(json.dumps(coco_json(annotations=[note])))


@pytest.mark.parametrize(
    "make",
    [
        _folder_of_other_size,
        _ade_of_other_size,
        _voc_of_other_size,
        _voc_with_things_of_other_size,
        _coco_of_other_size,
        _panoptic_of_other_size,
    ],
)
def test_labels_of_another_size_are_told_by_set_key_and_sizes(
    tmp_path: Path, naming: Naming, make: Callable[[Path], None]
) -> None:
    make(tmp_path)
    source = open_photos(tmp_path, naming)
    with pytest.raises(FrameError, match="is 60x40, its labels are 12x10") as caught:
        photos(source)
    assert f"'{source.keys[0]}' of '{source.facts.name}'" in str(caught.value)
    assert list(readable_photos(source, source.keys)) == [], "it takes no other photograph with it"


def test_a_turned_image_is_the_reason_that_is_told(tmp_path: Path, naming: Naming) -> None:
    pixels = Image.new("RGB", (SIZE[1], SIZE[0]))
    orientation = pixels.getexif()
    orientation[0x0112] = 6
    pixels.save(_made(tmp_path / "images" / "training" / "a.jpg"), exif=orientation)
    labels(tmp_path / "annotations" / "training" / "a.png", np.ones(SIZE[::-1], np.uint8))
    with pytest.raises(FrameError, match="EXIF orientation 6"):
        photos(open_photos(tmp_path, naming))


@pytest.mark.parametrize("names", ["{a: chair}", "{-1: chair}", "chair", "{0: [chair]}", "3"])
def test_yolo_names_that_are_no_numbered_words_are_refused(
    tmp_path: Path, naming: Naming, names: str
) -> None:
    image(tmp_path / "images" / "a.png")
    (tmp_path / "data.yaml").write_text(f"names: {names}\n")
    with pytest.raises(PerceptionError, match=r"data\.yaml.*(write|give)"):
        open_photos(tmp_path, naming)


@pytest.mark.parametrize("lost", ["id", "file_name", "height", "width"])
def test_coco_without_a_field_of_an_image_is_refused(tmp_path: Path, naming: Naming, lost: str) -> None:
    image(tmp_path / "images" / "a.png")
    stored = coco_json()
    del stored["images"][0][lost]  # type: ignore[index]
    (tmp_path / "instances.json").write_text(json.dumps(stored))
    with pytest.raises(PerceptionError, match=rf"instances\.json.*'{lost}'.*export"):
        open_photos(tmp_path, naming)


@pytest.mark.parametrize(
    "note",
    [
        {"segments_info": []},
        {"file_name": "a.png", "segments_info": [{"id": 0}]},
        {"file_name": "a.png", "segments_info": [{"id": 0, "category_id": 999}]},
        {"file_name": "a.png", "segments_info": [7]},
    ],
)
def test_a_panoptic_annotation_that_lacks_a_field_is_refused(
    tmp_path: Path, naming: Naming, note: dict[str, object]
) -> None:
    image(tmp_path / "images" / "a.png")
    save_image(_made(tmp_path / "panoptic" / "a.png"), np.zeros((*SIZE, 3), np.uint8))
    (tmp_path / "panoptic.json").write_text(json.dumps(coco_json(annotations=[{"image_id": 7, **note}])))
    with pytest.raises(PerceptionError, match=r"image 7 of .*panoptic\.json.*export"):
        photos(open_photos(tmp_path, naming))


def test_run_lengths_of_another_size_are_refused(tmp_path: Path, naming: Naming) -> None:
    from pycocotools import mask as packer

    image(tmp_path / "images" / "a.png")
    packed = packer.encode(np.asfortranarray(SMALLER))
    segments = {"size": packed["size"], "counts": packed["counts"].decode()}
    notes = [{"id": 1, "image_id": 7, "category_id": 62, "segmentation": segments}]
    (tmp_path / "instances.json").write_text(json.dumps(coco_json(annotations=notes)))
    with pytest.raises(PerceptionError, match=r"annotation 1 .*12x10 for an image of 60x40"):
        photos(open_photos(tmp_path, naming))


def test_a_folder_of_sets_is_refused_with_those_that_can_be_given(tmp_path: Path, naming: Naming) -> None:
    _folder_of_other_size(tmp_path / "home")
    _coco_of_other_size(tmp_path / "coco")
    image(tmp_path / "fruit" / "apple" / "a.png")
    image(tmp_path / "single" / "grocery" / "milk" / "a.png")
    image(tmp_path / "holiday" / "a.png")
    with pytest.raises(PerceptionError, match="holds sets") as caught:
        open_photos(tmp_path, naming)
    named = str(caught.value).rpartition(": ")[2].split(", ")
    assert named == [str(tmp_path / name) for name in ("coco", "fruit", "home", "single/grocery")]
    for name in named:
        assert open_photos(Path(name), naming).keys


def test_class_folders_may_lie_in_groups(tmp_path: Path, naming: Naming) -> None:
    image(tmp_path / "fruit" / "granny smith" / "a.png")
    image(tmp_path / "clothing" / "shoes" / "b.png")
    assert open_photos(tmp_path, naming).facts.names == {"granny smith", "shoe"}


def test_a_photograph_that_cannot_be_read_is_told_by_name(tmp_path: Path, naming: Naming) -> None:
    _made(tmp_path / "images" / "a.png").write_bytes(b"no image")
    labels(tmp_path / "labels" / "a.png", np.zeros(SIZE, np.uint8))
    (tmp_path / "classes.txt").write_text("wall\n")
    with pytest.raises(FrameError, match=r"a\.png"):
        photos(open_photos(tmp_path, naming))


def test_the_split_is_fixed_and_keeps_neighbours_together() -> None:
    keys = [f"{n:04d}" for n in range(2000)]
    train, calibration, test = (part_of("nyuv2", keys, part) for part in ("train", "calibration", "test"))
    assert sorted((*train, *calibration, *test)) == keys and 0.15 < len(test) / len(keys) < 0.25
    assert 0.05 < len(calibration) / len(keys) < 0.15
    blocks = [{int(key) // 10 for key in part} for part in (train, calibration, test)]
    assert len(set.union(*blocks)) == sum(map(len, blocks)), "neighbours stay together"
    assert part_of("nyuv2", keys[:1500], "test") == tuple(key for key in test if key < "1500")
    assert part_of("ade20k", keys, "test") != test
