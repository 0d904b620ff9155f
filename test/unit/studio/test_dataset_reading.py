"""What is known of a dataset's frames, their images, near-duplicates and what was left out."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from recordings import COLOR, SECOND, START, color, drive, image, jpeg, write

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.dataset.coco_file import CocoFile, LabelledBox
from perception_contrast_studio.components.dataset.dataset_boxes import (
    commands,
    image_facts,
    own_file,
    save_boxes,
)
from perception_contrast_studio.components.dataset.dataset_browser import chosen_frames
from perception_contrast_studio.components.dataset.dataset_charts import plan_options, timeline_options
from perception_contrast_studio.components.dataset.dataset_duplicates import duplicate_groups
from perception_contrast_studio.components.dataset.dataset_frames import DatasetFrames
from perception_contrast_studio.components.dataset.dataset_images import FrameImages, frame_image, whole_image
from perception_contrast_studio.tasks.datasets.dataset_reading import describe
from perception_contrast_studio.tasks.datasets.left_out_frames import find_left_out
from perception_contrast_training.data.bags.extract import extract
from perception_contrast_training.data.bags.options import ExtractOptions
from perception_contrast_training.data.curation.near_duplicates import dedup
from perception_contrast_training.data.curation.splits import SplitOptions, split
from perception_contrast_training.data.datasets.shards import ShardDataset


def quietly(*_: Any) -> None:
    return


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames of a drive; then one frame five times, of which the first alone is kept."""
    folder = tmp_path_factory.mktemp("dataset")
    still = [color(START + (20 + n) * SECOND, jpeg(image(40))) for n in range(5)]
    bag = write(folder / "bag", [*drive(), *still])
    extract([bag], folder / "kitchen", ExtractOptions(min_sharpness=0.0, every=0.4), workers=1)
    dedup(folder / "kitchen", "thumbnail", 0.9)
    split(folder / "kitchen", SplitOptions("time", (("train", 0.7), ("val", 0.3)), guard_time=0.0))
    return folder / "kitchen"


@pytest.fixture(scope="module")
def frames(dataset: Path) -> DatasetFrames:
    return describe(quietly, str(dataset))


def test_frames_are_those_that_training_reads(dataset: Path, frames: DatasetFrames) -> None:
    read = ShardDataset(dataset, duplicates=True)
    assert frames.finished and frames.keys == tuple(read.rows["key"].to_pylist())
    assert (frames.stamps == read.stamps).all()
    np.testing.assert_allclose(frames.positions, read.poses[:, :3], rtol=1e-5)
    for index in (0, len(frames) - 1):
        assert (frame_image(frames, index) == read[index]["image"].permute(1, 2, 0).numpy()).all()
    kept = ShardDataset(dataset)
    assert int((~frames.duplicates).sum()) == len(kept)
    val = ShardDataset(dataset, part="val", duplicates=True)
    assert [frames.keys[i] for i in chosen_frames(frames, part="val")] == val.rows["key"].to_pylist()


def test_each_near_duplicate_stands_beside_the_frame_that_is_kept(frames: DatasetFrames) -> None:
    groups = duplicate_groups(frames)
    members = [one for group in groups for one, _ in group.duplicates]
    assert sorted(members) == np.flatnonzero(frames.duplicates).tolist()
    for group in groups:
        assert not frames.duplicates[group.kept]
        assert all(0.9 <= cosine <= 1.0001 for _, cosine in group.duplicates)


def test_what_was_left_out_is_found_again_with_the_counts_of_the_extraction(
    dataset: Path, frames: DatasetFrames
) -> None:
    before = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    found = find_left_out(quietly, str(dataset), examples=2)
    counts = frames.counts()
    told = {reason: int((found.reason == n).sum()) for n, reason in enumerate(found.reasons)}
    assert told == {name: count for name, count in counts.items() if name not in ("read", "kept")}
    assert sum(told.values()) == counts["read"] - counts["kept"] > 0
    assert not set(found.stamps.tolist()) & set(frames.stamps.tolist())
    assert all(1 <= len(pictures) <= 2 for pictures in found.examples.values())
    assert {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()} == before
    timeline = timeline_options(frames, found)
    assert timeline is not None and any("left out" in one["name"] for one in timeline["series"])


def test_charts_stay_small_for_very_many_frames(frames: DatasetFrames) -> None:
    count = 100_000
    many = DatasetFrames(
        **{
            **vars(frames), "keys": tuple(map(str, range(count))), "lane": np.zeros(count, np.int32),
            "stamps": np.arange(count, dtype=np.int64) * 10**8, "parts": np.zeros(count, np.int32),
            "duplicate_of": np.where(np.arange(count) % 3 == 1, np.arange(count) - 1, -1),
            "duplicate_similarity": np.full(count, 0.99, np.float32),
            "positions": np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32),
        }
    )  # fmt: skip
    for options in (timeline_options(many, None), plan_options(many)):
        assert options is not None and sum(len(one["data"]) for one in options["series"]) < 20_000
    assert len(duplicate_groups(many)) == count // 3


def test_thumbnails_are_kept_within_their_memory(frames: DatasetFrames) -> None:
    images = FrameImages(lambda number: frames, cache_bytes=3000)
    first = images.thumbnail(frames, 0)
    for index in range(len(frames)):
        images.thumbnail(frames, index)
    assert images._kept.size <= 3000 and images.thumbnail(frames, 0) == first


def test_boxes_of_a_recording_name_the_frame_as_eval_wants_it(
    dataset: Path, frames: DatasetFrames, tmp_path: Path
) -> None:
    from perception_contrast_training.evaluation.exemplars import read_boxes

    file = CocoFile(tmp_path / "studio.json", {"topic": COLOR})
    index = int(chosen_frames(frames)[3])
    save_boxes(file, frames, index, [LabelledBox(0, "mug", 4, 5, 10, 12)])
    read = read_boxes(file.path, Path(frames.recordings[0]))
    assert [(one.index, one.frame.stamp) for one in read.frames] == [
        (image_facts(frames, index).more["frame_index"], frames.stamps[index])
    ]
    assert read.frames[0].boxes[0].box == (4, 5, 14, 17)
    assert (tmp_path / "images" / frames.files[index]).is_file()
    assert set(commands(frames, own_file(frames)))  # each with the file in it


def test_the_commands_that_are_shown_take_the_file_that_was_drawn(
    frames: DatasetFrames, tmp_path: Path
) -> None:
    from perception_contrast_training.calibration.calibrate_command import _parser, halves
    from perception_contrast_training.evaluation.readers.types import Skipped

    file = CocoFile(tmp_path / "studio.json", {"topic": COLOR})
    for index in chosen_frames(frames)[:2]:
        save_boxes(file, frames, int(index), [LabelledBox(0, "mug", 4, 5, 30, 32)])
    shown = commands(frames, file.path)["Fit the probabilities of words"]
    arguments = shlex.split(shown)
    assert arguments[:2] == ["perception-contrast", "calibrate"]
    for half in halves(_parser().parse_args(arguments[2:]), Skipped()):
        (image,) = half
        assert next(one for one in image.vocabularies[0] if one.text == "mug").present
    assert all("boxes/studio.json" in line for line in commands(frames, own_file(frames)).values())


def test_a_folder_of_images_is_a_dataset_without_times(tmp_path: Path) -> None:
    (tmp_path / "cups").mkdir()
    Image.new("RGB", (30, 20), "red").save(tmp_path / "cups" / "a.png")
    upright = Image.new("RGB", (30, 20), "blue")
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.save(tmp_path / "b.jpg", exif=exif)
    frames = describe(quietly, str(tmp_path))
    assert frames.keys == ("b.jpg", "cups/a.png") and timeline_options(frames, None) is None
    # A browser would turn it, and boxes would lie elsewhere than in the file.
    kind = whole_image(frames, 0)[1]
    assert kind == "image/png" and frame_image(frames, 0).shape == (20, 30, 3)
    assert own_file(frames) == tmp_path / "boxes_studio.json"
    with pytest.raises(PerceptionError, match="images"):
        describe(quietly, str(tmp_path / "cups" / "nothing"))
