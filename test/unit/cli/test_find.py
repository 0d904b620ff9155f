"""`perception-contrast find` with a detector that knows colours: what it writes, and how it goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import recordings as rec
import torch
from find_process import SLOWNESS, colour_detector
from PIL import Image
from rosbags.rosbag2 import Reader
from small_models import pipeline_of

from perception_contrast.cli.find import find_outputs
from perception_contrast.cli.main import main
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.heads.head_card import HeadCard, HeadSettings
from perception_contrast.heads.head_files import HEAD_FILE, write_head
from perception_contrast.heads.head_networks import network_of
from perception_contrast.heads.head_runner import HeadRunner
from perception_contrast.heads.registered_heads import named_head
from perception_contrast.images.run_length import decode_mask
from perception_contrast.pipeline.detector import load
from perception_contrast.pipeline.detector.pipeline_detector import PipelineDetector
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.recordings.bag_messages import deserialize
from perception_contrast.recordings.bags import BagSource
from perception_contrast.recordings.message_types import message_types

RED, BLUE = (230, 20, 20), (20, 20, 230)
ASK = ["--queries", "red, blue", "--distractors", "grey, green"]


@pytest.fixture(autouse=True)
def _colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "load", colour_detector)


def scene(step: int = 0) -> np.ndarray:
    """Red at (14 + 4 * step, 28), blue at (98, 14), on grey."""
    image = np.full((112, 168, 3), 128, np.uint8)
    image[28:84, 14 + 4 * step : 56 + 4 * step] = RED
    image[14:70, 98:154] = BLUE
    return image


def photos(folder: Path, count: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(scene(number)).save(folder / f"{number}.png")
    return folder


def video(path: Path, count: int = 6) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5.0, (168, 112))
    for number in range(count):
        writer.write(scene(number)[..., ::-1])
    writer.release()
    return path


def recording(path: Path, count: int = 5, broken: int | None = None, zero: int | None = None) -> Path:
    """Compressed images with other topics; frame ``broken`` is no JPEG, the stamp of ``zero`` is zero."""
    messages = [rec.camera_info(rec.START, 100.0, (112, 168), "/cam/color/camera_info")]
    for number in range(count):
        stamp = rec.START + number * rec.SECOND // 5
        data = b"no jpeg" if number == broken else rec.jpeg(scene(number))
        image = rec.color(stamp, data)
        if number == zero:
            header = rec.header(0)
            image = rec.packed(
                rec.COLOR,
                image.stamp,
                rec.COMPRESSED,
                header=header,
                format="jpeg",
                data=np.frombuffer(data, np.uint8),
            )
        messages += [image, rec.text(stamp, f"word {number}")]
    return rec.write(path, sorted(messages, key=lambda one: one.stamp))


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "detections.jsonl").read_text().splitlines()]


def results(folder: Path) -> list[dict[str, Any]]:
    return [one for one in lines(folder) if "detections" in one]


def find(*arguments: object) -> int:
    return main(["find", *map(str, arguments)])


def test_a_folder_gives_lines_coco_and_overlays(tmp_path: Path) -> None:
    folder, out = photos(tmp_path / "photos"), tmp_path / "out"
    assert find(folder, *ASK, "--save", out) == 0
    assert [one["source"] for one in results(out)] == [f"photos/{n}.png" for n in range(3)]
    first = results(out)[0]
    assert {one["label"] for one in first["detections"]} == {"red", "blue"}
    for one in first["detections"]:
        x0, y0, x1, y1 = one["box"]
        mask = decode_mask(one["mask"])
        assert mask.shape == (112, 168) and mask[y0:y1, x0:x1].sum() == mask.sum() > 0
        assert one["track_id"] == ""
    for number in range(3):
        drawn = cv2.imread(str(out / f"overlays/photos/{number}.jpg"))
        assert drawn.shape == (112, 168, 3) and not np.array_equal(drawn[..., ::-1], scene(number))
    report = json.loads((out / "find.json").read_text())
    assert report["finished"] and report["frames"] == 3 and report["detections"] == {"red": 3, "blue": 3}
    assert not list(out.glob("*.part")) and sorted(p.name for p in out.iterdir()) == [
        "coco.json",
        "detections.jsonl",
        "find.json",
        "overlays",
    ]


@pytest.mark.parametrize("masks", ["rle", "polygon"])
def test_the_coco_file_is_read_by_pycocotools(
    tmp_path: Path, masks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    folder, out = photos(tmp_path / "photos"), tmp_path / "out"
    find(folder, *ASK, "--save", out, "--format", "coco", "--coco-masks", masks)
    read = coco.COCO(str(out / "coco.json"))
    assert {one["name"] for one in read.loadCats(read.getCatIds())} == {"red", "blue"}
    names = {one["file_name"]: number for number, one in read.imgs.items()}
    for entry in results(out):
        annotations = read.loadAnns(read.getAnnIds([names[entry["source"]]]))
        assert len(annotations) == len(entry["detections"]) == 2
        for annotation, found in zip(annotations, entry["detections"], strict=True):
            ours, theirs = decode_mask(found["mask"]), read.annToMask(annotation).astype(bool)
            assert (ours & theirs).sum() / (ours | theirs).sum() > (0.999 if masks == "rle" else 0.9)
            assert annotation["area"] == ours.sum() and annotation["score"] == found["score"]
            x, y, width, height = annotation["bbox"]
            assert [x, y, x + width, y + height] == found["box"]
    assert not (out / "overlays").exists()


def test_what_cannot_be_read_is_named_counted_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = photos(tmp_path / "photos", 2), tmp_path / "out"
    (folder / "0a.jpg").write_bytes(b"no image")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "broken.mcap").write_bytes(b"no recording")
    arguments = (folder, tmp_path / "broken.mp4", tmp_path / "broken.mcap", *ASK, "--save", out)
    assert find(*arguments) == 1
    said = capsys.readouterr()
    assert "3 could not be read" in said.out
    assert all(name in said.err for name in ("0a.jpg", "broken.mp4", "broken.mcap"))
    report = json.loads((out / "find.json").read_text())
    assert len(report["unreadable"]) == 3 and report["finished"] and len(results(out)) == 2
    assert find(*arguments) == 1 and len(results(out)) == 2
    # A summary counts what was searched.
    assert "\n2 frames, " in "\n" + said.out and report["frames"] == 2 and report["unreadable_count"] == 3


def test_files_of_a_folder_that_are_left_out_are_named_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = photos(tmp_path / "photos", 2), tmp_path / "out"
    (folder / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (folder / "._0.png").write_bytes(b"a copy's remains")
    assert find(folder, *ASK, "--save", out) == 1
    report = json.loads((out / "find.json").read_text())
    assert report["unreadable_count"] == 1 and report["frames"] == 2
    assert report["unreadable"] == [f"{folder / 'gone.jpg'}: it is a link to a file that does not exist"]
    assert "gone.jpg" in capsys.readouterr().err


def test_the_report_names_so_many_and_counts_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_outputs, "_NAMED", 2)
    folder, out = photos(tmp_path / "photos", 1), tmp_path / "out"
    for number in range(5):
        (folder / f"bad{number}.jpg").write_bytes(b"no image")
    assert find(folder, *ASK, "--save", out) == 1
    report = json.loads((out / "find.json").read_text())
    assert (len(report["unreadable"]), report["unreadable_count"], report["frames"]) == (2, 5, 1)


def test_what_a_recording_lost_is_in_the_report_also_after_a_second_run(tmp_path: Path) -> None:
    bag, out = recording(tmp_path / "drive", broken=2), tmp_path / "out"
    for _ in range(2):
        assert find(bag, *ASK, "--save", out) == 1
        report = json.loads((out / "find.json").read_text())
        assert report["frames"] == 4 and report["unreadable_count"] == 1
        assert report["unreadable"][0].startswith(f"{bag}, frame 2: ")
    notes = BagSource(bag)
    list(notes.frames(rec.COLOR, lambda error: None))
    assert report["lost"] == [f"{bag}: {note}" for note in notes.lost]
    assert report["lost_count"] == len(notes.lost)


def test_videos_have_tracks_and_frames(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert find(video(tmp_path / "a.avi"), video(tmp_path / "b.avi", 2), *ASK, "--save", out) == 0
    for name, count in (("a.avi", 6), ("b.avi", 2)):
        entries = [one for one in results(out) if one["source"] == name]
        assert [one["frame"] for one in entries] == list(range(count))
        ids = [{d["label"]: d["track_id"] for d in one["detections"]} for one in entries]
        assert all(one == ids[0] for one in ids) and set(ids[0].values()) == {"1", "2"}
        assert len(list((out / "overlays" / name).glob("*.jpg"))) == count


def read_bag(path: Path) -> dict[str, list[tuple[int, Any]]]:
    read: dict[str, list[tuple[int, Any]]] = {}
    with Reader(path) as reader:
        for connection, stamp, data in reader.messages():
            message = message_types().deserialize_cdr(data, connection.msgtype)
            read.setdefault(connection.topic, []).append((stamp, message))
    return read


def test_a_recording_gets_our_topics_beside_its_own(tmp_path: Path) -> None:
    bag, out = recording(tmp_path / "drive", broken=2, zero=3), tmp_path / "out"
    assert find(bag, *ASK, "--save", out) == 1  # one of its images cannot be decoded
    before, after = read_bag(bag), read_bag(out / "bags" / "drive")
    assert set(after) - set(before) == {
        f"/perception_node/{name}" for name in ("detections", "masks", "label_info", "vision_info")
    }
    with Reader(bag) as old, Reader(out / "bags" / "drive") as new:
        theirs = [(c.topic, stamp, data) for c, stamp, data in old.messages()]
        ours = [(c.topic, t, data) for c, t, data in new.messages() if not c.topic.startswith("/perception")]
    assert sorted(ours) == sorted(theirs)
    images = [one for number, one in enumerate(before[rec.COLOR]) if number != 2]
    found, masks = after["/perception_node/detections"], after["/perception_node/masks"]
    assert [stamp for stamp, _ in found] == [stamp for stamp, _ in masks] == [stamp for stamp, _ in images]
    info = after["/perception_node/label_info"][0][1]
    ids = {one.class_name: one.class_id for one in info.class_map}
    assert ids == {"red": 1, "blue": 2, "unlabelled": 65535} and 0 < info.threshold < 1
    entries = results(out)
    for entry, (_, image), (_, detections), (_, mask) in zip(entries, images, found, masks, strict=True):
        assert detections.header == mask.header == image.header
        assert (mask.height, mask.width, mask.encoding, mask.step) == (112, 168, "mono16", 336)
        labels = mask.data.view(np.uint16).reshape(112, 168)
        assert set(np.unique(labels)) == {1, 2, 65535}
        for message, one in zip(detections.detections, entry["detections"], strict=True):
            x0, y0, x1, y1 = one["box"]
            assert message.results[0].hypothesis.class_id == one["label"]
            assert message.results[0].hypothesis.score == one["score"] and message.id == one["track_id"]
            centre = message.bbox.center.position
            assert (centre.x, centre.y) == ((x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2)
            assert (message.bbox.size_x, message.bbox.size_y) == (x1 - x0, y1 - y0)
    assert entries[-2]["frame"] == 3 and images[2][1].header.stamp.sec == 0


def test_our_own_reader_and_ros_read_the_new_recording(tmp_path: Path) -> None:
    bag, out = recording(tmp_path / "drive", 2), tmp_path / "out"
    find(bag, *ASK, "--save", out)
    ours = BagSource(out / "bags" / "drive")
    assert len(list(ours.frames(rec.COLOR))) == 2
    latched = ours.topics["/perception_node/label_info"].qos[0]
    assert (latched.durability, latched.reliability) == ("transient_local", "reliable")
    message = next(ours.messages(["/perception_node/detections"]))
    assert len(deserialize(message, message_types()).detections) == 2
    pytest.importorskip("rclpy", reason="rclpy is not there")
    from rclpy.serialization import deserialize_message
    from sensor_msgs.msg import Image as ImageMessage
    from vision_msgs.msg import Detection2DArray, LabelInfo, VisionInfo

    kinds = {
        "detections": Detection2DArray,
        "masks": ImageMessage,
        "label_info": LabelInfo,
        "vision_info": VisionInfo,
    }
    for name, kind in kinds.items():
        for one in ours.messages([f"/perception_node/{name}"]):
            read = deserialize_message(one.data, kind)
            assert read.header.frame_id == (rec.OPTICAL if name in ("detections", "masks") else "")


def test_a_recording_with_our_topics_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    out = tmp_path / "out"
    find(recording(tmp_path / "drive", 2), *ASK, "--save", out)
    assert find(out / "bags" / "drive", *ASK, "--save", tmp_path / "twice") == 2
    assert not (tmp_path / "twice").exists()
    again = (out / "bags" / "drive", *ASK, "--save", tmp_path / "twice", "--node", "second")
    assert find(*again) == 0
    assert "/second/masks" in BagSource(tmp_path / "twice" / "bags" / "drive").topics


def test_two_files_of_one_name_stay_apart(tmp_path: Path) -> None:
    first, second = photos(tmp_path / "a" / "photos", 1), photos(tmp_path / "b" / "photos", 1)
    out = tmp_path / "out"
    assert find(first, second, first / "0.png", *ASK, "--save", out) == 0
    assert len({one["source"] for one in results(out)}) == len(results(out)) == 2 + 1
    assert len(list((out / "overlays").rglob("*.jpg"))) == 3


def test_results_in_the_searched_folder_are_not_searched(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos")
    for _ in range(2):
        assert find(folder, *ASK, "--save", folder / "found") == 0
        assert len(results(folder / "found")) == 3


def test_more_images_are_searched_beside_those_that_are_done(tmp_path: Path) -> None:
    folder, out = photos(tmp_path / "photos", 2), tmp_path / "out"
    find(folder, *ASK, "--save", out)
    before = (out / "overlays/photos/0.jpg").stat().st_mtime_ns
    photos(tmp_path / "photos", 3).joinpath("0.png").touch()
    assert find(folder, *ASK, "--save", out) == 0
    assert [one["source"] for one in results(out)] == [f"photos/{n}.png" for n in range(3)]
    assert (out / "overlays/photos/0.jpg").stat().st_mtime_ns == before


def test_results_of_other_settings_are_neither_mixed_nor_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = photos(tmp_path / "photos", 1), tmp_path / "out"
    find(folder, *ASK, "--save", out)
    (out / "mine.txt").write_text("kept")
    other = (folder, "--queries", "red", "--save", out)
    assert find(*other) == 2
    said = capsys.readouterr().err
    assert "queries" in said and "--restart" in said
    assert len(results(out)[0]["detections"]) == 2
    assert find(*other, "--restart") == 0
    assert {one["label"] for one in results(out)[0]["detections"]} == {"red"}
    assert (out / "mine.txt").read_text() == "kept"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "--queries", "red"], "does not exist"),
        (["photos"], "nothing to look for"),
        (["photos", "--queries", "red", "--format", "xml"], "'xml' is none of"),
        (["photos", "--queries", "red, red"], "more than once"),
        (["photos", "--vocabulary", "housold"], "household"),
        (["photos", "--queries", "red", "--threshold", "3"], "threshold"),
        (["empty", "--queries", "red"], "holds no image"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos", 1)
    (tmp_path / "empty").mkdir()
    assert find(*arguments, "--save", "out") == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def start(*arguments: object, seconds: float = 0.15) -> subprocess.Popen[bytes]:
    script = Path(__file__).resolve().parents[2] / "support" / "find_process.py"
    paths = [str(script.parents[2]), str(script.parent), os.environ.get("PYTHONPATH", "")]
    values = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), SLOWNESS: str(seconds)}
    return subprocess.Popen([sys.executable, script, *map(str, arguments)], env=values)


def kill_after(process: subprocess.Popen[bytes], folder: Path, count: int) -> None:
    """kill -9 once so many lines are there."""
    part = folder / "detections.jsonl.part"
    until = time.monotonic() + 120
    while not part.exists() or part.read_bytes().count(b"\n") < count:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_same_results(tmp_path: Path) -> None:
    sources = (
        photos(tmp_path / "photos"),
        video(tmp_path / "a.avi", 12),
        recording(tmp_path / "drive", 8, broken=3),
    )
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert find(*sources, *ASK, "--save", whole) == 1
    for count in (2, 9, 22):
        kill_after(start(*sources, *ASK, "--save", parts), parts, count)
        assert not (parts / "detections.jsonl").exists() and not (parts / "coco.json").exists()
        assert not (parts / "bags").exists()
        assert not json.loads((parts / "find.json").read_text())["finished"]
        with (parts / "detections.jsonl.part").open("ab") as file:
            file.write(b'{"source":"a.avi","fra')  # as a machine that lost power may leave it
    assert find(*sources, *ASK, "--save", parts) == 1
    assert lines(parts) == lines(whole)
    assert (parts / "coco.json").read_bytes() == (whole / "coco.json").read_bytes()
    for path in (whole / "overlays").rglob("*.jpg"):
        assert (parts / path.relative_to(whole)).read_bytes() == path.read_bytes()
    one, other = (read_bag(folder / "bags" / "drive") for folder in (whole, parts))
    assert one.keys() == other.keys()
    for topic in one:
        assert repr(one[topic]) == repr(other[topic])


def test_an_interrupted_bag_is_no_bag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from perception_contrast.cli.find import result_bag

    bag, out = recording(tmp_path / "drive", 3), tmp_path / "out"

    def full(*arguments: object) -> bytes:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(result_bag, "masks_data", full)
        assert find(bag, *ASK, "--save", out) == 1
    assert not (out / "bags" / "drive").exists()
    assert "No space left" in json.loads((out / "find.json").read_text())["not_written"][0]
    with pytest.raises(PerceptionError):
        BagSource(out / "bags" / "drive")


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "long"])
def test_seconds_of_a_track_are_checked_before_anything_is_searched(
    seconds: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = photos(tmp_path / "photos")
    with pytest.raises(SystemExit):
        main(["find", str(folder), *ASK, "--save", str(tmp_path / "out"), f"--track-seconds={seconds}"])
    assert "is no number of seconds from 0 on" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_a_head_finds_is_counted_beside_the_queries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = pipeline_of("colours", short_side=112, max_tokens=256)
    space = encoder.models["spatial"][1]
    dim = encoder.process(Frame(scene()), OutputRequest(features=True)).features.values.shape[2]
    card = HeadCard("segmentation", ("anything",), space, dim, 112, settings=HeadSettings(width=8, blocks=1))
    network = network_of(card)
    with torch.no_grad():
        # Sure of its class everywhere.
        for parameter in network.parameters():
            parameter.zero_()
        next(one for name, one in network.named_parameters() if name.endswith("hidden.bias"))[:4] = 9.0
    write_head(tmp_path / "run" / HEAD_FILE, card, network)

    sizes = []

    def with_heads(*arguments: object, heads: list[str], **options: Any) -> PipelineDetector:
        sizes.append(options["settings"].short_side)
        encoder.set_heads([HeadRunner(named_head(one)) for one in heads])
        return PipelineDetector(encoder, "cpu")

    monkeypatch.setattr(load, "load", with_heads)
    out = tmp_path / "out"
    assert find(photos(tmp_path / "photos"), "--head", tmp_path / "run", "--save", out) == 0
    assert json.loads((out / "find.json").read_text())["detections"] == {"anything": 3}
    assert "nothing was found" not in capsys.readouterr().out
    assert sizes == [112]  # as in its training


def test_heads_of_two_sizes_need_one_to_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for size in (112, 224):
        card = HeadCard("segmentation", (f"n{size}",), "x@0", 8, size, settings=HeadSettings(8, 1))
        write_head(tmp_path / str(size) / HEAD_FILE, card, network_of(card))
    heads = [part for size in (112, 224) for part in ("--head", tmp_path / str(size))]
    assert find(photos(tmp_path / "photos"), *heads, "--save", tmp_path / "out") == 2
    assert re.search("different sizes .*112.*224.*--short-side PX", capsys.readouterr().err)


def test_a_command_that_failed_before_its_first_frame_does_not_stand_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, images = tmp_path / "out", photos(tmp_path / "photos")
    right = load.load

    def wrong(*arguments: object, **options: object) -> PipelineDetector:
        raise PerceptionError("unknown model 'dinov2-x'")

    monkeypatch.setattr(load, "load", wrong)
    assert find(images, "--queries", "red", "--model", "dinov2-x", "--save", out) == 2
    monkeypatch.setattr(load, "load", right)
    assert find(images, "--queries", "red", "--save", out) == 0, capsys.readouterr().err
    # What has results still stands.
    assert find(images, "--queries", "red", "--model", "dinov2-y", "--save", out) == 2
    assert "other settings (model)" in capsys.readouterr().err
