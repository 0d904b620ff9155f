"""Near-duplicates, splits and images of datasets, against what is known of how they were made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from recordings import COLOR, SECOND, START, color, drive, image, jpeg, transform, write
from scipy.sparse.csgraph import connected_components

from perception_contrast.cli.main import main
from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.files import load_image
from perception_contrast_training.data.bags.extract import extract
from perception_contrast_training.data.bags.options import ExtractOptions
from perception_contrast_training.data.curation import near_duplicates
from perception_contrast_training.data.curation.near_duplicates import dedup, find_duplicates
from perception_contrast_training.data.curation.splits import (
    Placed,
    SplitOptions,
    parse_shares,
    split,
    split_frames,
)
from perception_contrast_training.data.datasets.manifest import DUPLICATES, SPLIT, read_table
from perception_contrast_training.data.datasets.shards import ShardDataset

ALL = ExtractOptions(every=0, min_change=0, novelty="none", min_sharpness=0)


@pytest.mark.parametrize("block", [7, 64, 1000])
def test_duplicates_against_every_pair(block: int) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(12, 8))
    vectors = centres[rng.integers(12, size=150)] + 0.25 * rng.normal(size=(150, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    threshold = 0.96
    owner, cosine, clusters = find_duplicates(vectors, threshold, block=block)
    near = vectors @ vectors.T >= threshold
    count, labels = connected_components(near)
    assert len(np.unique(clusters)) == count
    assert len({(int(a), int(b)) for a, b in zip(clusters, labels, strict=True)}) == count
    kept = np.nonzero(owner < 0)[0]
    assert 12 <= len(kept) < 140
    # No two kept frames are near; each other one is near to a kept one before it, as it says.
    assert (near[np.ix_(kept, kept)].sum(axis=1) == 1).all()
    for frame in np.nonzero(owner >= 0)[0]:
        assert owner[frame] in kept and owner[frame] < frame
        assert cosine[frame] == pytest.approx(vectors[frame] @ vectors[owner[frame]], abs=1e-6)
        assert cosine[frame] >= threshold


def test_slow_walk_keeps_a_frame_of_each_thing() -> None:
    angles = np.radians(np.arange(0, 90, 2))
    vectors = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    owner, _, clusters = find_duplicates(vectors, float(np.cos(np.radians(10.5))), block=8)
    assert len(np.unique(clusters)) == 1 and (owner < 0).sum() == 8


def test_dedup_marks_repeated_frames_and_readers_leave_them_out(tmp_path: Path) -> None:
    shown = [1, 2, 1, 3, 2, 1]
    messages = [color(START + n * SECOND, jpeg(image(one))) for n, one in enumerate(shown)]
    extract([write(tmp_path / "bag", messages)], tmp_path / "set", ALL, workers=1)
    found = dedup(tmp_path / "set", "thumbnail")
    assert (found["duplicates"], found["kept"], found["clusters"]) == (3, 3, 3)
    table = read_table(tmp_path / "set" / DUPLICATES).to_pylist()
    keys = [row["key"] for row in table]
    assert [row["duplicate_of"] for row in table] == [None, None, keys[0], None, keys[1], keys[0]]
    assert len(ShardDataset(tmp_path / "set")) == 3
    assert len(ShardDataset(tmp_path / "set", duplicates=True)) == 6
    # A dataset that has grown since knows nothing of its new frames.
    more = write(tmp_path / "more", [color(START, jpeg(image(8)))])
    extract([tmp_path / "bag", more], tmp_path / "set", ALL, workers=1)
    with pytest.raises(PerceptionError, match="data dedup"):
        ShardDataset(tmp_path / "set")


def test_dedup_by_an_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    class Grey:
        space = "grey@0"

        def __call__(self, images: Any) -> Any:
            bright = np.array([one.mean() > 128 for one in images])
            return np.eye(2, dtype=np.float32)[bright.astype(int)]

    monkeypatch.setattr(near_duplicates, "load_descriptor", lambda *_: Grey())
    levels = [40, 220, 50, 210]
    messages = [
        color(START + n * SECOND, jpeg(np.full((48, 64, 3), one, np.uint8))) for n, one in enumerate(levels)
    ]
    extract([write(tmp_path / "bag", messages)], tmp_path / "set", ALL, workers=1)
    assert dedup(tmp_path / "set", "any")["duplicates"] == 2
    with pytest.raises(PerceptionError, match="threshold"):
        dedup(tmp_path / "set", "any", 1.5)


def spread(count: int, seed: int = 0) -> Placed:
    """Two drives through one building, ten frames a second, a metre a second along a bent way."""
    rng = np.random.default_rng(seed)
    steps = np.cumsum(rng.normal([0.05, 0.02, 0], 0.1, (2 * count, 3)), axis=0)
    stamps = np.concatenate([np.arange(count), 10**6 + np.arange(count)]) * SECOND // 10
    sources = np.repeat([0, 1], count)
    return Placed(stamps, sources, steps, np.zeros(2 * count, np.int64))


@pytest.mark.parametrize("by", ["time", "place"])
def test_parts_are_never_neighbours(by: str) -> None:
    frames = spread(600)
    options = SplitOptions(by, guard_time=2.0, guard_distance=0.4, cell=4.0)
    parts = np.array(split_frames(frames, options))
    for part in ("train", "val", "test"):
        mine, others = parts == part, ~np.isin(parts, [part, "unused"])
        assert mine.any() and others.any()
        near = np.abs(frames.stamps[mine][:, None] - frames.stamps[others][None])
        alike = frames.sources[mine][:, None] == frames.sources[others][None]
        assert near[alike].min() >= 2 * SECOND
        if by == "place":
            offset = frames.positions[mine][:, None] - frames.positions[others][None]
            assert np.linalg.norm(offset, axis=-1).min() >= 0.4
    assert (parts == "train").mean() > 0.4 and (parts == "unused").mean() < 0.35
    assert split_frames(frames, options) == parts.tolist(), "the same seed gives the same parts"


def test_split_by_bag_keeps_recordings_whole_and_meets_the_shares(tmp_path: Path) -> None:
    sources = np.repeat(np.arange(20), 10)
    frames = Placed(np.arange(200) * SECOND, sources, np.full((200, 3), np.nan), np.zeros(200, np.int64))
    parts = np.array(split_frames(frames, SplitOptions("bag", seed=3)))
    assert all(len(set(parts[sources == one])) == 1 for one in range(20))
    assert [(parts == name).sum() for name in ("train", "val", "test")] == [160, 20, 20]
    other = np.array(split_frames(frames, SplitOptions("bag", seed=4)))
    assert (other != parts).any()


def test_stretches_with_gaps_between_stay_whole() -> None:
    starts = np.repeat(np.arange(10) * 1000, 5)
    frames = Placed(
        (starts + np.tile(np.arange(5), 10)) * SECOND,
        np.zeros(50, np.int64),
        np.full((50, 3), np.nan),
        np.zeros(50, np.int64),
    )
    parts = np.array(split_frames(frames, SplitOptions("time", gap=60)))
    assert "unused" not in parts
    assert all(len(set(parts[starts == one])) == 1 for one in np.unique(starts))


def test_split_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    extract([write(tmp_path / "bag", drive(30))], tmp_path / "set", ALL, workers=1)
    counts = split(tmp_path / "set", SplitOptions("time", parse_shares("train=0.7,test=0.3")))
    assert sum(counts.values()) == 30
    before = (tmp_path / "set" / SPLIT).read_bytes()
    train, test = (ShardDataset(tmp_path / "set", part) for part in ("train", "test"))
    assert (len(train), len(test)) == (counts["train"], counts["test"])
    assert max(train.stamps) + 2 * SECOND <= min(test.stamps)
    for options, said in (
        (SplitOptions("bag"), r"1 recording\(s\) cannot make 3 parts"),
        (SplitOptions("time", guard_time=60.0), "would be empty"),
    ):
        with pytest.raises(PerceptionError, match=said):
            split(tmp_path / "set", options)
    assert (tmp_path / "set" / SPLIT).read_bytes() == before
    with pytest.raises(PerceptionError, match="has no part 'val'; it has: test, train"):
        ShardDataset(tmp_path / "set", "val")
    with pytest.raises(PerceptionError, match="must look like train"):
        parse_shares("train:0.8")
    with pytest.raises(PerceptionError, match=r"train=0\.9,val=0\.9 must add up to 1"):
        SplitOptions("time", parse_shares("train=0.9,val=0.9"))


def test_places_of_frames_without_poses(tmp_path: Path) -> None:
    messages = [color(START + n * SECOND, jpeg(image(n))) for n in range(4)]
    messages.append(transform(START, "map", "cam_optical_frame", (0, 0, 0), (0, 0, 0, 1)))
    extract([write(tmp_path / "bag", messages)], tmp_path / "set", ALL, workers=1)
    with pytest.raises(PerceptionError, match="3 of 4 frames have no pose"):
        split(tmp_path / "set", SplitOptions("place"))


def test_view_shows_the_frames(tmp_path: Path) -> None:
    solid = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    messages = [
        color(START + n * SECOND, jpeg(np.full((60, 80, 3), one, np.uint8))) for n, one in enumerate(solid)
    ]
    extract([write(tmp_path / "bag", messages)], tmp_path / "set", ALL, workers=1)
    assert main(["data", "view", str(tmp_path / "set"), "--out", str(tmp_path / "images")]) == 0
    sheet = load_image(tmp_path / "images/contact_sheet.png")
    for number, colour in enumerate(solid):
        middle = sheet[70, 4 + number * 204 + 100].astype(int)
        assert np.abs(middle - colour).max() < 6
    timeline = load_image(tmp_path / "images/timeline.png")
    assert timeline.shape[1] > 1000 and timeline.std() > 5


def test_info_of_recordings_and_datasets(tmp_path: Path, capsys: Any) -> None:
    bag = write(tmp_path / "bag", drive(11))
    assert main(["data", "info", str(bag), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    topics = {one["name"]: one for one in found["topics"]}
    assert topics[COLOR]["holds"] == "color" and topics["/cam/depth/image_raw"]["holds"] == "depth"
    assert topics[COLOR]["count"] == 11 and topics[COLOR]["rate"] == pytest.approx(1, abs=0.05)
    extract([bag], tmp_path / "set", ALL, workers=1)
    split(tmp_path / "set", SplitOptions("time", parse_shares("train=0.5,test=0.5")))
    assert main(["data", "info", str(tmp_path / "set"), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["frames"], about["with_pose"], about["with_depth"], about["with_text"]) == (11, 11, 11, 0)
    assert about["sizes"] == {"64x48": 11} and sum(about["parts"].values()) == 11
    assert main(["data", "info", str(bag)]) == 0
    assert f"{COLOR} " in capsys.readouterr().out
    write(tmp_path / "more" / "bag", drive(3))
    assert main(["data", "info", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert f"{bag}: " in told and f"{tmp_path / 'more' / 'bag'}: " in told
    (tmp_path / "nothing").mkdir()
    assert main(["data", "info", str(tmp_path / "nothing")]) == 2
    assert "holds no images" in capsys.readouterr().err


def test_sheet_of_many_sizes_is_one_image(tmp_path: Path) -> None:
    wide = cv2.resize(image(1), (200, 40))
    messages = [color(START, jpeg(image(0))), color(START + SECOND, jpeg(wide), "/wide/image")]
    extract([write(tmp_path / "bag", messages)], tmp_path / "set", ALL, workers=1)
    assert main(["data", "view", str(tmp_path / "set"), "--count", "2"]) == 0
    assert load_image(tmp_path / "set/contact_sheet.png").shape[1] == 2 * 204 + 4
