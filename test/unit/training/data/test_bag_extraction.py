"""From recordings to a dataset: what is kept and what was known; interrupted, parallel, damaged."""

from __future__ import annotations

import errno
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from recordings import (
    COLOR,
    DEPTH,
    SECOND,
    START,
    camera_info,
    color,
    detections,
    drive,
    jpeg,
    mcap_bytes,
    packed,
    raw,
    text,
    transform,
    write,
    write_split,
)
from recordings import (
    image as source_image,
)
from rosbags.rosbag2 import CompressionMode, StoragePlugin, Writer

from perception_contrast.cli.main import main
from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.bags import source
from perception_contrast_training.data.bags.anonymise import Seen, blur_people
from perception_contrast_training.data.bags.extract import extract
from perception_contrast_training.data.bags.options import ExtractOptions
from perception_contrast_training.data.datasets import shard_writer as writing
from perception_contrast_training.data.datasets.manifest import MANIFEST, read_table
from perception_contrast_training.data.datasets.shards import ShardDataset
from perception_contrast_training.fleet.map_items import Where

STORAGES = [
    (StoragePlugin.MCAP, None),
    (StoragePlugin.MCAP, CompressionMode.STORAGE),
    (StoragePlugin.SQLITE3, None),
    (StoragePlugin.SQLITE3, CompressionMode.FILE),
    (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    (StoragePlugin.MCAP, CompressionMode.MESSAGE),
]


def run(recordings: Any, dataset: Path, workers: int = 1, **options: Any) -> Any:
    given = recordings if isinstance(recordings, list) else [recordings]
    return extract(given, dataset, ExtractOptions(**options), workers=workers)


def rows(dataset: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_table(dataset / MANIFEST).to_pylist()
    return found


def fingerprint(dataset: Path) -> dict[str, str]:
    """The manifest's rows and every shard's bytes."""
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in dataset.glob("shards/*.tar")
    }
    return {**found, "rows": json.dumps(rows(dataset), default=repr)}


def told(*messages: Any) -> list[Any]:
    return sorted(messages, key=lambda one: one.stamp)


def test_frame_keeps_its_own_bytes_and_what_was_known_when_it_was_seen(tmp_path: Path) -> None:
    messages = drive(6)
    messages += [
        text(START + 2 * SECOND + 10**7, "open the drawer"),
        detections(START + 4 * SECOND, [("mug", (5, 6, 20, 30)), ("bowl", (1, 2, 3, 4))]),
    ]
    bag = write(tmp_path / "bag", told(*messages))
    run(bag, tmp_path / "set", text=("/narration", "/objects"), text_window=0.5)
    dataset = ShardDataset(tmp_path / "set")
    assert len(dataset) == 6
    with tarfile.open(next((tmp_path / "set/shards").glob("*.tar"))) as tar:
        names = tar.getnames()
        stored = {name: tar.extractfile(name).read() for name in names}  # type: ignore[union-attr]
    for number, row in enumerate(rows(tmp_path / "set")):
        key = row["key"]
        assert stored[f"{key}.jpg"] == jpeg(source_image(number)), "no second generation of a JPEG"
        sample = dataset[number]
        reference = cv2.imdecode(np.frombuffer(jpeg(source_image(number)), np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(sample["image"].numpy(), reference[..., ::-1].transpose(2, 0, 1))
        assert sample["stamp"] == row["stamp"] == START + number * SECOND
        # The base is at 0.5 m a frame, the camera 0.2 m above it, turned as optical frames are.
        expected = [0.5 * number, 0, 0.2, -0.5, 0.5, -0.5, 0.5]
        np.testing.assert_allclose(sample["pose"].numpy(), expected, atol=1e-12)
        assert (row["pose_parent"], row["pose_child"]) == ("map", "cam_optical_frame")
        depth = dataset.depth(number)
        assert depth is not None and np.isnan(depth[0, 0])
        assert np.nanmin(depth) == np.nanmax(depth) == np.float32(100 * (number + 1)) * np.float32(0.001)
        png = cv2.imdecode(np.frombuffer(stored[f"{key}.depth.png"], np.uint8), cv2.IMREAD_UNCHANGED)
        assert png.dtype == np.uint16 and png[5, 5] == 100 * (number + 1)
        about = json.loads(stored[f"{key}.json"])
        assert about["camera"]["fx"] == 50.0 and about["depth_camera"]["fx"] == 25.0
        assert about["stamp"] == row["stamp"] and about["topic"] == COLOR
    assert (
        dataset[2]["text"] == "open the drawer" and stored[f"{dataset[2]['key']}.txt"] == b"open the drawer"
    )
    assert dataset[4]["text"] == "mug, bowl"
    assert [dataset[number]["text"] for number in (0, 1, 3, 5)] == [""] * 4


def test_every_storage_gives_the_same_dataset(tmp_path: Path) -> None:
    messages = drive(8)
    plain = write(tmp_path / "plain/bag", messages)
    run(plain, tmp_path / "expected")
    expected = fingerprint(tmp_path / "expected")
    for number, (storage, mode) in enumerate(STORAGES):
        bag = write(tmp_path / f"{number}/bag", messages, storage, mode)
        run(bag, tmp_path / f"set{number}")
        assert fingerprint(tmp_path / f"set{number}") == expected, (storage, mode)
    for number, storage in enumerate(StoragePlugin):
        (tmp_path / f"split{number}").mkdir()
        bag = write_split(tmp_path / f"split{number}/bag", messages, storage)
        run(bag, tmp_path / f"parts{number}")
        assert fingerprint(tmp_path / f"parts{number}") == expected, storage


def test_webdataset_reads_the_shards(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    run(write(tmp_path / "bag", drive(5)), tmp_path / "set", shard_frames=2)
    urls = sorted(str(path) for path in (tmp_path / "set/shards").glob("*.tar"))
    found = list(webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8"))
    assert [one["__key__"] for one in found] == [row["key"] for row in rows(tmp_path / "set")]
    assert found[0]["jpg"].shape == (48, 64, 3) and found[0]["json"]["frame_id"] == "cam_optical_frame"


def test_filters_leave_out_by_reason(tmp_path: Path) -> None:
    def blurred(number: int) -> np.ndarray:
        return cv2.GaussianBlur(cv2.GaussianBlur(source_image(number), (0, 0), 4), (0, 0), 4)

    dark, good, twice = np.zeros((48, 64, 3), np.uint8), source_image(1), source_image(2)
    shown = [good, good, twice, dark, blurred(3), good, source_image(4)]
    messages = [color(START + number * SECOND, jpeg(image)) for number, image in enumerate(shown)]
    messages.insert(1, color(START + SECOND // 10, jpeg(source_image(9))))
    result = run(write(tmp_path / "bag", told(*messages)), tmp_path / "set")
    counts = result.results[0]["topics"][COLOR]
    assert counts == {
        "read": 8,
        "kept": 3,
        "too_soon": 1,
        "unchanged": 1,
        "badly_exposed": 1,
        "blurred": 1,
        "seen_before": 1,
    }
    assert [row["stamp"] for row in rows(tmp_path / "set")] == [START + n * SECOND for n in (0, 2, 6)]


def test_motion_by_pose_counts_where_the_image_hardly_changes(tmp_path: Path) -> None:
    image = jpeg(source_image(1))
    messages = [color(START + number * SECOND, image) for number in range(6)]
    messages += [
        transform(START + number * SECOND, "odom", "cam_optical_frame", (x, 0, 0), (0, 0, 0, 1))
        for number, x in enumerate((0, 0.01, 0.3, 0.31, 0.32, 0.9))
    ]
    bag = write(tmp_path / "bag", told(*messages))
    run(bag, tmp_path / "set", novelty="none", min_move=0.2)
    assert [row["pose"][0] for row in rows(tmp_path / "set")] == [0, 0.3, 0.9]
    run(bag, tmp_path / "longest", novelty="none", min_move=0.0, min_turn=0.0, max_gap=3.0)
    assert [(row["stamp"] - START) // SECOND for row in rows(tmp_path / "longest")] == [0, 3]


def test_pose_is_interpolated_along_the_arc(tmp_path: Path) -> None:
    half = np.sqrt(0.5)
    messages = [
        color(START + SECOND // 4, jpeg(source_image(1))),
        transform(START, "map", "cam_optical_frame", (0, 0, 0), (0, 0, 0, 1)),
        transform(START + SECOND, "map", "cam_optical_frame", (4, 0, 0), (0, 0, half, half)),
    ]
    bag = write(tmp_path / "bag", told(*messages))
    run(bag, tmp_path / "set", pose_slop=1.0, delay=2.0)
    angle = np.radians(90 / 4) / 2
    expected = [1, 0, 0, 0, 0, np.sin(angle), np.cos(angle)]
    np.testing.assert_allclose(rows(tmp_path / "set")[0]["pose"], expected, atol=1e-12)
    run(bag, tmp_path / "strict", pose_slop=0.1, delay=2.0)
    assert rows(tmp_path / "strict")[0]["pose"] is None


def test_poses_go_on_when_the_clock_is_set_back(tmp_path: Path) -> None:
    """A simulation that begins again elsewhere: its poses are the new ones, and none is lost."""
    first = [one for one in drive(14) if one.topic != "/tf"]
    again = [one._replace(stamp=one.stamp + 100 * SECOND) for one in first if one.topic == COLOR]
    placed = [
        transform(START + n * SECOND, "map", "base_link", (0.5 * n + far, 0, 0), (0, 0, 0, 1))._replace(
            stamp=START + (n + later) * SECOND
        )
        for far, later in ((0.0, 0), (50.0, 100))
        for n in range(14)
    ]
    run(write(tmp_path / "bag", told(*first, *again, *placed)), tmp_path / "set", novelty="none")
    found = [round(row["pose"][0], 3) for row in rows(tmp_path / "set") if row["pose"] is not None]
    assert found == [0.5 * n for n in range(14)] + [50 + 0.5 * n for n in range(14)]


def test_odometry_places_the_camera_where_no_transform_does(tmp_path: Path) -> None:
    from recordings import TYPES, header

    types = TYPES.types
    place = types["geometry_msgs/msg/PoseWithCovariance"](
        types["geometry_msgs/msg/Pose"](
            types["geometry_msgs/msg/Point"](3.0, 4.0, 0.0),
            types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0),
        ),
        np.zeros(36),
    )
    zero = types["geometry_msgs/msg/Vector3"](0.0, 0.0, 0.0)
    twist = types["geometry_msgs/msg/TwistWithCovariance"](
        types["geometry_msgs/msg/Twist"](zero, zero), np.zeros(36)
    )
    odometry = packed(
        "/odom",
        START,
        "nav_msgs/msg/Odometry",
        header=header(START, "odom"),
        child_frame_id="base_link",
        pose=place,
        twist=twist,
    )
    static = transform(START, "base_link", "cam_optical_frame", (0, 0, 1), (0, 0, 0, 1), "/tf_static")
    image_message = color(START, jpeg(source_image(1)))
    run(write(tmp_path / "a", told(odometry, static, image_message)), tmp_path / "mounted")
    assert rows(tmp_path / "mounted")[0]["pose"][:3] == [3, 4, 1]
    run(write(tmp_path / "b", told(odometry, image_message)), tmp_path / "bare")
    row = rows(tmp_path / "bare")[0]
    assert (row["pose"][:3], row["pose_parent"], row["pose_child"]) == ([3, 4, 0], "odom", "base_link")
    run(write(tmp_path / "c", told(static, image_message)), tmp_path / "fixed_to_nothing")
    assert rows(tmp_path / "fixed_to_nothing")[0]["pose"] is None


def test_raw_and_unusual_images_are_stored_in_true_colours(tmp_path: Path) -> None:
    image = source_image(5)
    swapped = bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 100])[1])
    messages = [
        raw(START - SECOND // 10, image, "/a/image", "rgb8"),
        color(START, swapped, "/b/image", "rgb8; jpeg compressed rgb8"),
        color(START, bytes(cv2.imencode(".png", image[..., ::-1])[1]), "/c/image", "png"),
    ]
    bag = write(tmp_path / "bag", messages)
    run(bag, tmp_path / "set")
    found = rows(tmp_path / "set")
    assert [Path(row["file"]).suffix for row in found] == [".jpg", ".jpg", ".png"]
    dataset = ShardDataset(tmp_path / "set")
    for number, most in enumerate((12, 12, 0)):
        got = dataset[number]["image"].numpy().transpose(1, 2, 0).astype(int)
        assert np.abs(got - image).mean() <= most
    run(bag, tmp_path / "png", format="png", topics=("/a/image",))
    np.testing.assert_array_equal(
        ShardDataset(tmp_path / "png")[0]["image"].numpy().transpose(1, 2, 0), image
    )
    run(bag, tmp_path / "small", short_side=24, topics=("/c/image",))
    assert ShardDataset(tmp_path / "small")[0]["image"].shape == (3, 24, 32)


def test_sidecar_captions_by_time_and_topic(tmp_path: Path) -> None:
    captions = tmp_path / "captions.csv"
    start = START // SECOND
    captions.write_text(
        "time,until,caption,topic\n"
        f'{start}.0,{start + 1}.5,"a table, set",\n'
        f"{start + 3}.000000000,,a chair,{COLOR}\n"
        f"{start + 4},,never,/other\n"
    )
    bag = write(tmp_path / "bag", drive(5))
    run(bag, tmp_path / "set", captions=str(captions), text_window=0.1)
    assert [row["texts"] for row in rows(tmp_path / "set")] == [
        ["a table, set"],
        ["a table, set"],
        [],
        ["a chair"],
        [],
    ]
    captions.write_text("time,caption\nsoon,a table\n")
    with pytest.raises(PerceptionError, match=r"row 1 .*'soon'"):
        run(bag, tmp_path / "bad", captions=str(captions))


def test_malformed_messages_are_counted_and_skipped(tmp_path: Path) -> None:
    messages = drive(6)
    colors = [index for index, one in enumerate(messages) if one.topic == COLOR]
    cut = messages[colors[2]]
    messages[colors[2]] = color(START + 2 * SECOND, jpeg(source_image(2))[:-200])
    messages[colors[4]] = messages[colors[4]]._replace(data=cut.data[:30])
    depths = [index for index, one in enumerate(messages) if one.topic == DEPTH]
    broken = messages[depths[1]]
    messages[depths[1]] = broken._replace(data=broken.data[:-900])
    result = run(write(tmp_path / "bag", messages), tmp_path / "set")
    counts = result.results[0]["topics"][COLOR]
    assert (counts["read"], counts["kept"], counts["truncated"], counts["bad_message"]) == (6, 4, 1, 1)
    assert result.results[0]["malformed"] == {DEPTH: {"bad_message": 1}}
    assert [row["depth_offset"] is None for row in rows(tmp_path / "set")] == [False, True, False, False]


def test_damaged_recording_gives_what_is_whole_and_says_so(tmp_path: Path, capsys: Any) -> None:
    data = mcap_bytes(drive(30))
    file = tmp_path / "cut.mcap"
    file.write_bytes(data[: len(data) // 2])
    assert main(["data", "extract", str(file), "--out", str(tmp_path / "set")]) == 0
    said = capsys.readouterr().out
    assert "lost: a chunk at byte" in said and "was cut" in said
    assert 5 < len(ShardDataset(tmp_path / "set")) < 25
    assert main(["data", "extract", str(file), "--out", str(tmp_path / "no"), "--no-recover"]) == 2
    assert "mcap recover" in capsys.readouterr().err


class Killed(BaseException):
    """As a process that ends in the middle: nothing may catch it."""


@pytest.mark.parametrize("after", [1, 7, 11, 12])
def test_interrupted_and_gone_on_equals_never_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    options: dict[str, Any] = {"shard_frames": 3, "max_similarity": 0.9, "memory": 4}
    messages = drive(14)
    messages += [color(START + (20 + n) * SECOND, jpeg(source_image(n))) for n in (1, 12, 13, 2)]
    bag = write(tmp_path / "bag", told(*messages))
    run(bag, tmp_path / "whole", **options)
    count, add = 0, writing.ShardWriter.add

    def dying(self: Any, name: str, data: bytes) -> Any:
        nonlocal count
        count += name.endswith(".jpg")
        if count > after:
            raise Killed
        return add(self, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(writing.ShardWriter, "add", dying)
        # What a killed process leaves: no clean-up of temporary files either.
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(Killed):
            run(bag, tmp_path / "set", **options)
    with pytest.raises(PerceptionError, match="did not finish"):
        ShardDataset(tmp_path / "set")
    done = {path: path.stat().st_mtime_ns for path in tmp_path.glob("set/shards/*.tar")}
    assert len(done) == after // 3
    (tmp_path / "set" / f".{MANIFEST}.half.part").write_bytes(b"PAR1")
    run(bag, tmp_path / "set", **options)
    assert fingerprint(tmp_path / "set") == fingerprint(tmp_path / "whole")
    assert not list((tmp_path / "set").glob(".*.part"))
    assert {path: path.stat().st_mtime_ns for path in done} == done, "finished shards are kept"
    left = {path.suffix for path in (tmp_path / "set/shards").iterdir()}
    assert left == {".tar", ".parquet", ".json"}


@pytest.mark.slow
def test_processes_give_what_one_gives(tmp_path: Path) -> None:
    bags = [write(tmp_path / f"fleet/robot{n}", drive(6, first=10 * n)) for n in range(3)]
    seen: list[tuple[int, int, int]] = []
    run(bags, tmp_path / "serial", shard_frames=4)
    extract(
        [tmp_path / "fleet"],
        tmp_path / "parallel",
        ExtractOptions(shard_frames=4),
        workers=3,
        report=lambda *one: seen.append(one),
    )
    assert fingerprint(tmp_path / "parallel") == fingerprint(tmp_path / "serial")
    assert {(number, total) for number, done, total in seen if done == total} == {(n, 6) for n in range(3)}


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("ray_cluster")
def test_ray_gives_what_one_process_gives(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    bags = [write(tmp_path / f"robot{n}", drive(6, first=10 * n)) for n in range(2)]
    run(bags, tmp_path / "serial")
    extract(bags, tmp_path / "ray", ExtractOptions(), where=Where(ray="local"))
    assert fingerprint(tmp_path / "ray") == fingerprint(tmp_path / "serial")


def test_dataset_grows_by_recordings_but_not_by_other_options(tmp_path: Path) -> None:
    one, two = (write(tmp_path / name, drive(3, first=start)) for name, start in (("a", 0), ("b", 5)))
    run(one, tmp_path / "set")
    before = fingerprint(tmp_path / "set")
    run([one, two], tmp_path / "set")
    after = fingerprint(tmp_path / "set")
    assert len(rows(tmp_path / "set")) == 6 and before.items() - {("rows", before["rows"])} <= after.items()
    with pytest.raises(PerceptionError, match=r"every was 0\.5, is 2"):
        run(one, tmp_path / "set", every=2)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.tex").write_text("precious")
    with pytest.raises(PerceptionError, match="not empty and no dataset"):
        run(one, tmp_path / "other")


def test_no_space_left_keeps_finished_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bag = write(tmp_path / "bag", drive(7))
    add = writing.ShardWriter.add

    def full(self: Any, name: str, data: bytes) -> Any:
        if self.path.name.endswith("000002.tar"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return add(self, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(writing.ShardWriter, "add", full)
        with pytest.raises(PerceptionError, match="no space is left"):
            run(bag, tmp_path / "set", shard_frames=2)
    assert sorted(path.name for path in tmp_path.glob("set/shards/*.tar")) == [
        "0000-000000.tar",
        "0000-000001.tar",
    ]
    run(bag, tmp_path / "set", shard_frames=2)
    assert len(ShardDataset(tmp_path / "set")) == 7


def test_hook_makes_anonymous_before_anything_is_written(tmp_path: Path, capsys: Any) -> None:
    messages = drive(4)
    messages.append(detections(START + SECOND, [("person", (10, 8, 40, 40)), ("mug", (50, 2, 60, 9))]))
    bag = write(tmp_path / "bag", told(*messages))
    hook = f"{blur_people.__module__}:{blur_people.__name__}"
    run(bag, tmp_path / "set", anonymise=hook, text=("/objects",))
    dataset = ShardDataset(tmp_path / "set")
    plain = cv2.imdecode(np.frombuffer(jpeg(source_image(1)), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    got = dataset[1]["image"].numpy().transpose(1, 2, 0)
    apart = np.abs(got.astype(int) - plain)
    assert apart[12:36, 14:36].mean() > 8 and apart[:, 48:].mean() < 3
    with tarfile.open(next((tmp_path / "set/shards").glob("*.tar"))) as tar:
        assert tar.extractfile(f"{dataset[0]['key']}.jpg").read() == jpeg(source_image(0))  # type: ignore[union-attr]
    broken = run(bag, tmp_path / "broken", anonymise=f"{__name__}:failing_hook")
    assert broken.results[0]["topics"][COLOR] == {"read": 4, "anonymise": 2, "kept": 2}
    with pytest.raises(PerceptionError, match="cannot be loaded"):
        run(bag, tmp_path / "none", anonymise="no_such_module:hook")


def failing_hook(image: np.ndarray, seen: Seen) -> np.ndarray:
    if seen.stamp % (2 * SECOND) == START % (2 * SECOND):
        raise RuntimeError("the face finder fell over")
    return image


def test_what_cannot_be_extracted_is_said_clearly(tmp_path: Path) -> None:
    with Writer(tmp_path / "empty", version=8):
        pass
    with pytest.raises(PerceptionError, match="holds no messages"):
        run(tmp_path / "empty", tmp_path / "a")
    blind = write(tmp_path / "blind", [text(START, "hello")])
    with pytest.raises(PerceptionError, match=r"no images.*/narration \(std_msgs/msg/String, 1\)"):
        run(blind, tmp_path / "b")
    good = write(tmp_path / "good", drive(3))
    with pytest.raises(PerceptionError, match=f"no topic '/cam/colour'.*{COLOR}"):
        run(good, tmp_path / "c", topics=("/cam/colour",))
    with pytest.raises(PerceptionError, match="holds depth"):
        run(good, tmp_path / "d", topics=(DEPTH,))
    for name, why in ((COLOR, "holds colour"), ("/tf", "carries no images")):
        with pytest.raises(PerceptionError, match=f"--depth '{name}' {why}"):
            run(good, tmp_path / "d", depth=name)
    run(good, tmp_path / "d", depth=DEPTH)
    with pytest.raises(PerceptionError, match="depth was /cam/depth/image_raw, is none"):
        run(good, tmp_path / "d", depth="none")
    assert run(good, tmp_path / "h", min_sharpness=1e6).frames == 0
    assert run(good, tmp_path / "h").frames == 3, "what kept no frame is begun again"
    with pytest.raises(PerceptionError, match="--every -1"):
        run(good, tmp_path / "e", every=-1)
    with pytest.raises(PerceptionError, match="1 of 2 recordings"):
        run([good, blind], tmp_path / "f")
    result = extract([good, blind], tmp_path / "f", ExtractOptions(), workers=1, skip_bad=True)
    assert result.frames == 3 and "no images" in result.failed["blind"]
    (tmp_path / "nothing").mkdir()
    with pytest.raises(PerceptionError, match="holds no rosbag2"):
        run(tmp_path / "nothing", tmp_path / "g")


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    """Images that wait, and the windows around them, hold a bounded number of messages."""
    bag = write(tmp_path / "bag", drive(200, period=SECOND // 10))
    job = source.SourceJob(0, "bag", bag, tmp_path / "set", ExtractOptions(every=5.0))
    held = []
    made: list[Any] = []

    class Watched(source.Context):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    def look(*_: int) -> None:
        context = made[0]
        samples = sum(len(edge.samples) for edge in context._transforms._edges.values())
        held.append((len(context._depths[DEPTH]._held), samples))

    original = source.Context
    source.Context = Watched  # type: ignore[misc]
    try:
        source.extract_source(job, look)
    finally:
        source.Context = original  # type: ignore[misc]
    # 1.6 s of depth and 10 s of transforms at 10 Hz.
    assert max(depth for depth, _ in held) <= 18 and max(samples for _, samples in held) <= 104


def test_real_kitchen(shared: Path, tmp_path: Path) -> None:
    result = run(shared / "data/kitchen_rgbd", tmp_path / "set")
    topic = "/camera/color/image_raw/compressed"
    assert result.results[0]["topics"] == {topic: {"read": 50, "kept": 50}}
    dataset = ShardDataset(tmp_path / "set")
    assert np.isfinite(dataset.poses).all()
    np.testing.assert_allclose(np.linalg.norm(dataset.poses[:, 3:], axis=1), 1)
    assert dataset.depth(0).shape == (240, 320)  # type: ignore[union-attr]


def test_genuine_recording(shared: Path, tmp_path: Path) -> None:
    result = run(shared / "data/recorded_rosbag2", tmp_path / "set")
    assert {topic: counts["kept"] for topic, counts in result.results[0]["topics"].items()} == {
        "/compressed_image": 1,
        "/image": 1,
    }


def test_static_transforms_and_cameras_that_come_late_hold_for_all_frames(tmp_path: Path) -> None:
    late, blank = 4 * SECOND, []
    messages = []
    for one in drive(6):
        if one.topic == "/cam/color/camera_info":
            blank.append(camera_info(START, 0.0, (48, 64), one.topic))
        if one.topic in ("/tf_static", "/cam/color/camera_info"):
            one = one._replace(stamp=one.stamp + late)
        messages.append(one)
    run(write(tmp_path / "bag", [*blank, *messages]), tmp_path / "set")
    found = rows(tmp_path / "set")
    assert len(found) > 3
    assert all(row["pose_parent"] == "map" and row["pose_child"] == "cam_optical_frame" for row in found)
    assert {json.loads(row["camera"])["fx"] for row in found} == {50.0}


def test_grey_depth_is_taken_by_name_and_by_wish(tmp_path: Path) -> None:
    for topic, depth in (("/cam/depth/image_raw", "auto"), ("/range/image", "/range/image")):
        messages = [one for one in drive(3) if "depth" not in one.topic]
        messages += [
            raw(START + n * SECOND + 1_000_000, np.full((24, 32), 700, np.uint16), topic, "mono16")
            for n in range(3)
        ]
        bag = write(tmp_path / f"bag_{depth.strip('/').replace('/', '_')}", messages)
        run(bag, tmp_path / f"set_{bag.name}", depth=depth, topics=(COLOR,))
        metres = ShardDataset(tmp_path / f"set_{bag.name}").depth(0)
        assert metres is not None and np.allclose(metres, 0.7)
