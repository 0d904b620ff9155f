"""The eval command on tiny data: what it measures, what it writes, and what it refuses in one line."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_models import encoders_of

from perception_contrast.cli.main import main
from perception_contrast.core.detection import Detection
from perception_contrast.core.frame import Frame
from perception_contrast.images.files import load_image, save_image
from perception_contrast.pipeline.frame_result import FrameResult
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.segmentation.calibration import FEATURES, Calibration
from perception_contrast.segmentation.calibration_files import (
    CONTRAST_SCORES,
    StoredCalibration,
    calibration_path,
    write_calibration,
)
from perception_contrast_training.cli import eval_options as module
from perception_contrast_training.evaluation.readers.household import HouseholdOptions, HouseholdScenes
from perception_contrast_training.household.training_image_statistics import fit_gaussians

COLOURS = {"red": (220, 20, 20), "green": (20, 220, 20), "blue": (20, 20, 220)}
SMALL = ["--short-side", "112", "--offline"]


@pytest.fixture(autouse=True)
def small_towers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tower that knows colours by name, and one of images alone."""

    def load(model: str, language_model: str, **_: object) -> object:
        return encoders_of("none" if language_model == "none" else "colours")

    monkeypatch.setattr(module, "load_encoders", load)


def scene(index: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A red and a green block on blue, 112 by 112, and their numbers."""
    labels = np.full((112, 112), 2, np.uint8)
    labels[14:56, 14:56] = 0
    labels[56:98, 42 + index : 98] = 1
    return np.array(list(COLOURS.values()), np.uint8)[labels], labels


def labelled_folder(folder: Path, count: int = 3) -> Path:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for index in range(count):
        image, labels = scene(index)
        labels[:2] = 11
        save_image(folder / "images" / f"{index}.png", image)
        save_image(folder / "labels" / f"{index}.png", labels)
    (folder / "classes.txt").write_text("red\ngreen\nblue\n")
    return folder


def figures_of(path: Path) -> dict[str, object]:
    return json.loads(path.read_text())


def refused(argv: list[str], capsys: pytest.CaptureFixture[str], *words: str) -> None:
    """Ends with 2 and one line that has the words."""
    assert main(["eval", *argv]) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ") and line.count("\n") == 1
    for word in words:
        assert word in line, line


# Familiarity.


def test_images_unlike_those_of_training_are_told_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With statistics of grey noise: red images lie far off, and other grey noise does not."""
    rng, folders = np.random.default_rng(0), {}
    for name, colour in (("grey", (128, 128, 128)), ("more", (128, 128, 128)), ("red", (250, 10, 10))):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        for index in range(14):
            noise = (
                rng.integers(-60, 60, (112, 112, 3)) if name != "red" else rng.integers(-9, 9, (112, 112, 3))
            )
            pixels = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
            save_image(folders[name] / f"{index:02}.png", pixels)
    encoders, settings = encoders_of("lit"), PipelineSettings(short_side=112)
    assert encoders.language is not None
    known = Pipeline(encoders, settings, background=False)
    tokens = [known.extract_features(Frame(load_image(one))).class_token for one in folders["grey"].iterdir()]
    vectors = np.repeat(np.stack(tokens), 3, axis=0)
    vectors += 0.05 * rng.normal(size=vectors.shape).astype(np.float32)
    statistics = fit_gaussians({"grey": (vectors, vectors[::2])}, "dinov2-s14@small", rank=4)
    monkeypatch.setattr(encoders.language, "_training_images", statistics)
    monkeypatch.setattr(module, "load_encoders", lambda *_, **__: encoders)
    file = tmp_path / "figures.json"
    argv = ["--task", "familiarity", "--data", str(folders["red"]), "--json", str(file), *SMALL]
    assert main(["eval", *argv, "--against", str(folders["more"]), "--limit", "7"]) == 0
    red, more = (figures_of(file)["figures"]["sources"][str(folders[name])] for name in ("red", "more"))
    assert red["frames"] == more["frames"] == 7 and red["auc"] is None and more["auc"] == 1.0
    assert red["above_limit"] == 1.0 and red["least"] > more["most"] and more["least"] <= more["mean"]
    assert "above the limit" in capsys.readouterr().out
    monkeypatch.setattr(encoders.language, "_training_images", None)
    refused(argv, capsys, "training images", "household-lit")


# Labelled photographs.


def test_names_of_ones_own_say_what_labels_are_true_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, mine, file = tmp_path / "data", tmp_path / "mine.yaml", tmp_path / "figures.json"
    labelled_folder(data, 60)  # blocks of ten, of which some are test ones
    mine.write_text("red:\n  also: [scarlet]\n")
    argv = ["--task", "photos", "--data", str(data), "--vocabulary", "scarlet", "--limit", "2", *SMALL]
    refused(argv, capsys, "'scarlet'", "--names")
    assert main(["eval", *argv, "--names", str(mine), "--json", str(file)]) == 0
    content = figures_of(file)
    assert content["figures"]["names"] == 1 and content["settings"]["names"] == [str(mine)]
    assert set(content["figures"]["present_iou_by_name"]) == {"scarlet"}, "the red block is one"


@pytest.mark.parametrize("task", ["photos", "familiarity"])
def test_names_that_cannot_be_read_are_told_before_models_are_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.setattr(module, "load_encoders", None)
    data = labelled_folder(tmp_path / "data")
    argv = ["--task", task, "--data", str(data), "--names", str(tmp_path / "none.yaml"), *SMALL]
    refused(argv, capsys, "none.yaml", "cannot be read")


def test_names_go_with_labelled_photographs_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["--task", "seg", "--data", str(tmp_path), "--names", "x.yaml"], capsys, "--names", "photos")


# Segmentation.


def test_colours_are_segmented_by_their_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, file = labelled_folder(tmp_path / "data"), tmp_path / "out" / "figures.json"
    argv = ["eval", "--task", "seg", "--data", str(data), "--ignore", "11", "--json", str(file)]
    assert main([*argv, "--out", str(tmp_path / "out"), *SMALL]) == 0
    shown = capsys.readouterr().out
    assert "| mIoU" in shown and "| green" in shown
    content = figures_of(file)
    assert set(content) == {"task", "settings", "figures", "notes", "skipped", "seconds"}
    figures = content["figures"]
    assert figures["miou"] > 0.8 and figures["pixel_accuracy"] > 0.9
    assert np.array(figures["confusion"]).sum() == 3 * 110 * 112
    assert set(figures["iou"]) == set(COLOURS)
    for name in ("confusion.png", "worst.png"):
        assert min(load_image(tmp_path / "out" / name).shape[:2]) > 100
    assert not list(tmp_path.rglob("*.part"))


def test_a_broken_image_is_counted_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, file = labelled_folder(tmp_path / "data"), tmp_path / "figures.json"
    broken = data / "images" / "1.png"
    broken.write_bytes(broken.read_bytes()[:200])
    argv = ["eval", "--task", "seg", "--data", str(data), "--ignore", "11", "--json", str(file)]
    assert main([*argv, *SMALL]) == 0
    assert "1 could not be decoded" in capsys.readouterr().out
    content = figures_of(file)
    assert list(content["skipped"]) == ["1.png"]
    assert np.array(content["figures"]["confusion"]).sum() == 2 * 110 * 112


def test_names_come_from_a_vocabulary_too(tmp_path: Path) -> None:
    data = labelled_folder(tmp_path / "data", 1)
    (data / "classes.txt").unlink()
    file = tmp_path / "figures.json"
    names = tmp_path / "names.yaml"
    names.write_text(
        "labels: [{label: warm, phrases: [red]}, {label: fresh, phrases: [green]}, "
        "{label: cold, phrases: [blue]}]"
    )
    argv = ["eval", "--task", "seg", "--data", str(data), "--ignore", "11", "--json", str(file), *SMALL]
    for vocabulary in ("warm: red, fresh: green, cold: blue; green", str(names)):
        assert main([*argv, "--vocabulary", vocabulary]) == 0
        assert set(figures_of(file)["figures"]["iou"]) == {"warm", "fresh", "cold"}


def test_bad_folders_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seg = ["--task", "seg", *SMALL]
    refused([*seg, "--data", str(tmp_path / "none")], capsys, "none", "--vocabulary")
    refused([*seg, "--data", str(tmp_path / "none"), "--vocabulary", "red"], capsys, "does not exist")
    (tmp_path / "empty" / "images").mkdir(parents=True)
    refused([*seg, "--data", str(tmp_path / "empty"), "--vocabulary", "red"], capsys, "labels/")
    (tmp_path / "empty" / "labels").mkdir()
    refused([*seg, "--data", str(tmp_path / "empty"), "--vocabulary", "red"], capsys, "no image")
    data = labelled_folder(tmp_path / "data")
    refused([*seg, "--data", str(data)], capsys, "class 11", "--ignore 11")
    save_image(data / "labels" / "2.png", np.zeros((50, 112), np.uint8))
    refused([*seg, "--data", str(data), "--ignore", "11"], capsys, "112x50", "112x112")
    save_image(data / "labels" / "2.png", np.zeros((112, 112, 3), np.uint8))
    refused([*seg, "--data", str(data), "--ignore", "11"], capsys, "2.png", "one channel")
    (data / "labels" / "1.png").unlink()
    refused([*seg, "--data", str(data), "--ignore", "11"], capsys, "1.png", "no labels")
    refused([*seg, "--data", str(data), "--vocabulary", "red, red"], capsys, "more than once")
    refused(["--task", "seg", "--data", "household:many"], capsys, "household:SCENES")
    refused(["--task", "det", "--probe", "--data", str(data)], capsys, "--probe")
    refused([*seg, "--data", str(data), "--json", str(data)], capsys, "is a folder")


def test_class_lists_that_cannot_be_read_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = labelled_folder(tmp_path / "data")
    for name, text, word in (
        ("a.yaml", "{1: red, 3: green}", "without gaps"),
        ("b.json", "[not json", "cannot be read"),
        ("c.yaml", "5", "not a mapping"),
        ("d.txt", "\n\n", "names no class"),
        ("e.yaml", "red: 5", "unknown key 'red'"),
    ):
        (tmp_path / name).write_text(text)
        argv = ["--task", "seg", "--data", str(data), "--vocabulary", str(tmp_path / name), *SMALL]
        refused(argv, capsys, word)


def test_a_class_list_gives_every_line_its_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, file = labelled_folder(tmp_path / "data"), tmp_path / "figures.json"
    argv = ["--task", "seg", "--data", str(data), "--ignore", "11", "--json", str(file), *SMALL]
    names = data / "classes.txt"
    names.write_bytes("\ufeffred\r\ngreen\r\nblue\r\n\r\n".encode())
    assert main(["eval", *argv]) == 0
    assert set(figures_of(file)["figures"]["iou"]) == set(COLOURS), "a byte order mark is no part of a name"
    names.write_text("red\n\ngreen\nblue\n")
    refused(argv, capsys, "line 2", "is empty")
    for text, held in (
        ("[red, no, blue]", "False"),
        ("{0: red, 1: , 2: blue}", "None"),
        ("[{label: red}]", "{"),
    ):
        (tmp_path / "names.yaml").write_text(text)
        refused([*argv, "--vocabulary", str(tmp_path / "names.yaml")], capsys, f"holds {held}")


def test_what_is_unlabelled_in_sixteen_bits_does_not_count(tmp_path: Path) -> None:
    data, file = labelled_folder(tmp_path / "data", 1), tmp_path / "figures.json"
    labels = scene()[1].astype(np.uint16)
    labels[:2] = 65535
    save_image(data / "labels" / "0.png", labels)
    argv = ["eval", "--task", "seg", "--data", str(data), "--json", str(file), *SMALL]
    assert main(argv) == 0
    assert np.array(figures_of(file)["figures"]["confusion"]).sum() == 110 * 112


def test_words_are_calibrated_as_in_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By what the cache has for the space, or by a file; the JSON and the table say so."""
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))
    data, file = coco_file(tmp_path / "data"), tmp_path / "figures.json"
    argv = ["--task", "det", "--data", str(data), "--json", str(file), *SMALL]
    assert main(["eval", *argv]) == 0
    assert figures_of(file)["notes"] == [] and figures_of(file)["settings"]["calibration"] is None
    words = Calibration((0.0,) * len(FEATURES), 3.0, detection=0.77)
    surely = StoredCalibration("colours@1", "platt", words, scores=CONTRAST_SCORES)
    write_calibration(calibration_path("colours@1"), surely)
    write_calibration(tmp_path / "given.json", replace(surely, words=replace(surely.words, detection=0.33)))
    for more, published in ((), 0.77), (("--calibration", str(tmp_path / "given.json")), 0.33):
        assert main(["eval", *argv, *more]) == 0
        assert "calibrated by the platt fit" in capsys.readouterr().out
        content = figures_of(file)
        assert content["figures"]["presence"]["published_threshold"] == published
        stated = [s for s in content["figures"]["calibration"]["inside"]["stated"] if s is not None]
        assert stated == pytest.approx([1 / (1 + np.exp(-3))], abs=1e-5)
        assert "colours@1" in content["notes"][0]
    write_calibration(tmp_path / "given.json", replace(surely, space="other@1"))
    refused([*argv, "--calibration", str(tmp_path / "given.json")], capsys, "other@1", "colours@1")


def test_the_way_to_dense_features_and_windows_are_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, object]] = []

    def load(model: str, language_model: str, **options: object) -> object:
        asked.append((language_model, options["dense"]))
        return encoders_of("none" if language_model == "none" else "colours")

    monkeypatch.setattr(module, "load_encoders", load)
    data, file = labelled_folder(tmp_path / "data", 1), tmp_path / "figures.json"
    argv = ["eval", "--data", str(data), "--ignore", "11", "--json", str(file), *SMALL]
    assert main([*argv, "--task", "seg", "--dense", "naclip", "--tile", "112", "--max-tokens", "64"]) == 0
    settings = figures_of(file)["settings"]
    assert (settings["dense"], settings["tile"], settings["max_tokens"]) == ("naclip", 112, 64)
    assert main([*argv, "--task", "propagate", "--dense", "naclip", "--homographies", "1"]) == 0
    assert asked == [("household-lit", "naclip"), ("none", "auto")]


def test_the_probe_learns_what_lies_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, file = labelled_folder(tmp_path / "data", 6), tmp_path / "figures.json"
    (data / "classes.txt").unlink()
    argv = ["eval", "--task", "seg", "--probe", "--data", str(data), "--ignore", "11", "--json", str(file)]
    assert main([*argv, "--train", "4", "--test", "2", *SMALL]) == 0
    first = figures_of(file)
    assert first["task"] == "probe" and first["figures"]["train"] == 4 and first["figures"]["test"] == 2
    assert set(first["figures"]["iou"]) == {"class 0", "class 1", "class 2"}
    assert first["figures"]["miou"] > 0.8
    assert np.array(first["figures"]["plain"]["confusion"]).sum() == 2 * 110 * 112
    assert "| plain" in capsys.readouterr().out
    assert main([*argv, "--train", "4", "--test", "2", *SMALL]) == 0
    assert figures_of(file)["figures"] == first["figures"]
    refused([*argv[1:], "--train", "5", "--test", "2", *SMALL], capsys, "6 images", "--train")


# Detection.


def coco_file(folder: Path) -> Path:
    folder.mkdir()
    save_image(folder / "a.png", scene()[0])
    notes = []
    for number, (x, y, width, height) in enumerate([(14, 14, 42, 42), (42, 56, 56, 42)]):
        polygon = [x, y, x + width, y, x + width, y + height, x, y + height]
        notes.append({"id": number, "image_id": 7, "category_id": number + 1, "segmentation": [polygon],
                      "bbox": [x, y, width, height], "iscrowd": 0, "track_id": number})  # fmt: skip
    stored = {
        "images": [{"id": 7, "file_name": "a.png", "height": 112, "width": 112}],
        "annotations": notes,
        "categories": [{"id": 1, "name": "red"}, {"id": 2, "name": "green"}, {"id": 3, "name": "grey"}],
    }
    (folder / "coco.json").write_text(json.dumps(stored))
    return folder / "coco.json"


def test_colours_are_detected_by_their_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, file = coco_file(tmp_path / "data"), tmp_path / "figures.json"
    argv = ["eval", "--task", "det", "--data", str(data), "--json", str(file), "--out", str(tmp_path / "out")]
    assert main([*argv, *SMALL]) == 0
    assert "Detection by words" in capsys.readouterr().out
    figures = figures_of(file)["figures"]
    assert figures["masks"]["ap50"] == 1.0 and figures["boxes"]["ap50"] == 1.0
    assert figures["presence"]["present_names"] == 2 and figures["presence"]["absent_names"] == 1
    assert figures["touching"] == {"things": 0, "merged": None, "split": None}
    assert sum(figures["calibration"]["matched"]["counts"]) >= 2
    images = {path.name for path in (tmp_path / "out").iterdir()}
    assert images == {"reliability.png", "reliability_inside.png", "presence.png", "worst.png"}


def test_annotations_that_make_no_sense_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = coco_file(tmp_path / "data")
    stored = json.loads(file.read_text())
    det = ["--task", "det", "--data", str(file), *SMALL]
    refused(["--task", "det", "--data", str(tmp_path), *SMALL], capsys, "is a folder", "COCO")
    refused(["--task", "det", "--data", str(tmp_path / "no.json"), *SMALL], capsys, "do not exist")
    refused([*det, "--vocabulary", "sofa"], capsys, "sofa", "red, green, grey")

    def changed(**parts: object) -> None:
        file.write_text(json.dumps(stored | parts))

    file.write_text("{")
    refused(det, capsys, "no JSON")
    changed(categories="none")
    refused(det, capsys, "no list 'categories'")
    changed(images=[])
    refused(det, capsys, "is empty")
    changed(annotations=[stored["annotations"][0] | {"category_id": 99}])
    refused(det, capsys, "unknown category 99")
    changed(annotations=[stored["annotations"][0] | {"image_id": 99}])
    refused(det, capsys, "unknown image 99")
    changed(images=[stored["images"][0] | {"height": 50}])
    refused(det, capsys, "112x112", "112x50")
    changed(images=[{"id": 7, "file_name": "a.png"}])
    refused(det, capsys, "'height'")
    changed(images=[stored["images"][0] | {"file_name": "b.png"}])
    refused(det, capsys, "--images")


def test_masks_that_cannot_be_read_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = coco_file(tmp_path / "data")
    stored = json.loads(file.read_text())
    det = ["--task", "det", "--data", str(file), *SMALL]
    for part in (
        {"segmentation": [[1, 2, 3]]},
        {"segmentation": {"size": [112, 112]}},
        {"segmentation": {"size": [112, 112], "counts": [5]}},
        {"segmentation": {"size": [50, 50], "counts": "mV2"}},
        {"segmentation": "polygon"},
        {"segmentation": [], "bbox": [1, 2]},
        {"segmentation": [], "bbox": [float("nan"), 0, 4, 4]},
        {"segmentation": [], "bbox": [9, 9, -4, 4]},
    ):
        notes = [stored["annotations"][0] | {"id": 41} | part]
        file.write_text(json.dumps(stored | {"annotations": notes}))
        refused(det, capsys, "annotation 41")
    file.write_text(json.dumps(stored | {"images": stored["images"] * 2}))
    refused(det, capsys, "two images", "one id")
    file.write_text(json.dumps(stored | {"categories": [{"id": 1}]}))
    refused(det, capsys, "categories", "'name'")


def test_names_of_categories_are_brought_into_the_form_of_labels(tmp_path: Path) -> None:
    """Two categories of one name are one, and spaces do not part a truth from its reports."""
    file, out = coco_file(tmp_path / "data"), tmp_path / "figures.json"
    stored = json.loads(file.read_text())
    names = ((1, " red "), (2, "green"), (3, "grey"), (4, "red"))
    categories = [{"id": number, "name": name} for number, name in names]
    nowhere = {"id": 9, "image_id": 7, "category_id": 3, "bbox": [500, 500, 20, 20]}
    stored |= {"categories": categories, "annotations": [*stored["annotations"], nowhere]}
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(stored).encode())
    assert main(["eval", "--task", "det", "--data", str(file), "--json", str(out), *SMALL]) == 0
    content = figures_of(out)
    assert content["figures"]["ap_by_class"] == {"red": 1.0, "green": 1.0}
    assert content["figures"]["presence"]["present_names"] == 2
    assert content["figures"]["presence"]["absent_names"] == 0, "of what is marked nobody knows"
    assert list(content["skipped"]) == ["annotation 9 of 'coco.json'"]


# Tracks.


def with_names(monkeypatch: pytest.MonkeyPatch, name: Callable[[Detection], str]) -> None:
    """Lets every detection of a pipeline have the track id that a function of it gives."""
    plain = Pipeline.process

    def process(self: Pipeline, frame: Frame, request: OutputRequest) -> FrameResult:
        result = plain(self, frame, request)
        named = tuple(replace(d, track_id=name(d)) for d in result.detections)
        return replace(result, detections=named)

    monkeypatch.setattr(Pipeline, "process", process)


def test_without_track_ids_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_names(monkeypatch, lambda detection: "")
    file = tmp_path / "figures.json"
    argv = ["eval", "--task", "track", "--data", str(coco_file(tmp_path / "data")), "--json", str(file)]
    assert main([*argv, *SMALL]) == 0
    assert "gave no track ids" in capsys.readouterr().out
    figures = figures_of(file)["figures"]
    assert figures["track_ids"] is False
    assert figures["sequences"]["all images"]["found"] == 2


def test_track_ids_of_the_pipeline_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_names(monkeypatch, lambda detection: detection.label)
    folder, file = tmp_path / "mot", tmp_path / "figures.json"
    (folder / "img1").mkdir(parents=True)
    (folder / "gt").mkdir()
    rows = []
    for number in range(1, 5):
        save_image(folder / "img1" / f"{number:06d}.png", scene()[0])
        rows += [f"{number},1,15,15,42,42,1,1,1", f"{number},2,43,57,56,42,1,2,1"]
    (folder / "gt" / "gt.txt").write_text("\n".join(rows))
    argv = ["eval", "--task", "track", "--data", str(folder), "--vocabulary", "red, green"]
    assert main([*argv, "--json", str(file), *SMALL]) == 0
    figures = figures_of(file)["figures"]
    assert figures["track_ids"] is True and figures["detections_with_ids"] == figures["detections"] == 8
    found = figures["sequences"]["mot"]
    assert (found["mota"], found["idf1"], found["id_switches"], found["missed"]) == (1.0, 1.0, 0, 0)


def test_boxes_belong_to_the_frames_whose_numbers_they_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fifth frame of a sequence, as its files are named: the boxes of the others are not theirs."""
    with_names(monkeypatch, lambda detection: detection.label)
    folder, file = tmp_path / "mot", tmp_path / "figures.json"
    for part in ("img1", "gt"):
        (folder / part).mkdir(parents=True)
    save_image(folder / "img1" / "000001.png", scene()[0])
    save_image(folder / "img1" / "000006.png", np.roll(scene()[0], 14, axis=1))
    rows = [f"{number},1,{15 if number < 6 else 29},15,42,42,1,1,1" for number in range(1, 11)]
    (folder / "gt" / "gt.txt").write_text("\n".join(rows))
    argv = ["eval", "--task", "track", "--data", str(folder), "--vocabulary", "red", "--json", str(file)]
    assert main([*argv, *SMALL]) == 0
    found = figures_of(file)["figures"]["sequences"]["mot"]
    assert (found["found"], found["missed"], found["false"]) == (2, 0, 0)


def test_frames_of_a_video_are_followed_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = coco_file(tmp_path / "data"), tmp_path / "figures.json"
    stored = json.loads(file.read_text())
    shown: list[int] = []
    images, notes = [], []
    for place, number in enumerate((2, 0, 1)):
        save_image(file.parent / f"{number}.png", scene(number)[0])
        image = {"id": place, "file_name": f"{number}.png", "height": 112, "width": 112}
        images.append(image | {"video_id": 5, "frame_id": number})
        notes.append(stored["annotations"][0] | {"id": place, "image_id": place})
    plain = Pipeline.process

    def process(self: Pipeline, frame: Frame, request: OutputRequest) -> FrameResult:
        shown.append(next(n for n in range(3) if np.array_equal(frame.image, scene(n)[0])))
        return plain(self, frame, request)

    monkeypatch.setattr(Pipeline, "process", process)
    track = ["--task", "track", "--data", str(file), "--json", str(out), *SMALL]
    file.write_text(json.dumps(stored | {"images": images, "annotations": notes}))
    assert main(["eval", *track]) == 0
    assert shown == [0, 1, 2]
    assert figures_of(out)["figures"]["sequences"]["5"]["found"] == 3

    # One that nobody numbered counts neither way; a number that two things have at once is an error.
    unknown = stored["annotations"][1] | {"id": 8, "image_id": 0, "track_id": None}
    file.write_text(json.dumps(stored | {"images": images, "annotations": [*notes, unknown]}))
    assert main(["eval", *track]) == 0
    again = figures_of(out)["figures"]["sequences"]["5"]
    assert again["found"] == 3 and again["missed"] == 0 and again["true_identities"] == 1
    file.write_text(
        json.dumps(stored | {"images": images, "annotations": [*notes, unknown | {"track_id": 0}]})
    )
    refused(track, capsys, "'2.png'", "track 0 2 times")


def test_data_without_identities_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = coco_file(tmp_path / "data")
    stored = json.loads(file.read_text())
    for note in stored["annotations"]:
        del note["track_id"]
    file.write_text(json.dumps(stored))
    refused(["--task", "track", "--data", str(file), *SMALL], capsys, "track_id")
    refused(["--task", "track", "--data", str(tmp_path), *SMALL], capsys, "MOTChallenge")
    folder = tmp_path / "mot"
    (folder / "gt").mkdir(parents=True)
    (folder / "img1").mkdir()
    (folder / "gt" / "gt.txt").write_text("1,2,three\n")
    refused(["--task", "track", "--data", str(folder), *SMALL], capsys, "--vocabulary")
    save_image(folder / "img1" / "1.png", scene()[0])
    refused(["--task", "track", "--data", str(folder), "--vocabulary", "red", *SMALL], capsys, "line 1")


# Classification.


def coloured_classes(folder: Path) -> Path:
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for index in range(2):
            save_image(folder / name / f"{index}.png", np.full((60, 60, 3), colour, np.uint8))
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_images_are_classified_by_the_names_of_their_folders(tmp_path: Path, packed: bool) -> None:
    data, file = coloured_classes(tmp_path / "data"), tmp_path / "figures.json"
    save_image(data / "red" / "really_blue.png", np.full((60, 60, 3), COLOURS["blue"], np.uint8))
    for name in ("green", "blue"):
        (data / name / "broken.png").write_bytes(b"no image")
    if packed:
        with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
            for path in data.rglob("*.png"):
                archive.write(path, path.relative_to(tmp_path))
        data = tmp_path / "data.zip"
    argv = ["eval", "--task", "classify", "--data", str(data), "--json", str(file), *SMALL]
    assert main([*argv, "--out", str(tmp_path / "out")]) == 0
    content = figures_of(file)
    assert content["figures"]["top1"] == pytest.approx(6 / 7, abs=1e-6)
    assert content["figures"]["top1_by_class"]["red"] == pytest.approx(2 / 3, abs=1e-6)
    # Classes are in the order of their names: blue, green, red.
    assert content["figures"]["confusion"] == [[2, 0, 0], [0, 2, 0], [1, 0, 2]]
    assert content["figures"]["pictures"] == 7 and len(content["skipped"]) == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"confusion.png", "worst.png"}


def test_accents_that_a_file_system_took_apart_are_put_together(tmp_path: Path) -> None:
    data, file = coloured_classes(tmp_path / "data"), tmp_path / "figures.json"
    (data / "red").rename(data / "ro\u0302t")
    argv = ["eval", "--task", "classify", "--data", str(data), "--json", str(file), *SMALL]
    assert main([*argv, "--vocabulary", "r\u00f4t: red"]) == 0
    assert figures_of(file)["figures"]["top1_by_class"] == {"blue": 1.0, "green": 1.0, "r\u00f4t": 1.0}


def test_a_limit_takes_from_all_classes(tmp_path: Path) -> None:
    data, file = coloured_classes(tmp_path / "data"), tmp_path / "figures.json"
    argv = ["eval", "--task", "classify", "--data", str(data), "--json", str(file), "--limit", "3", *SMALL]
    assert main(argv) == 0
    assert figures_of(file)["figures"]["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_what_is_no_folder_of_classes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["--task", "classify", "--data", str(tmp_path), *SMALL], capsys, "no images in folders")
    refused(["--task", "classify", "--data", str(tmp_path / "x"), *SMALL], capsys, "does not exist")
    (tmp_path / "x.zip").write_bytes(b"no archive")
    refused(["--task", "classify", "--data", str(tmp_path / "x.zip"), *SMALL], capsys, "no .zip")
    data = coloured_classes(tmp_path / "data")
    refused(["--task", "classify", "--data", str(data), "--vocabulary", "mug", *SMALL], capsys, "mug")


# Propagation.


def test_a_marked_thing_is_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, file = tmp_path / "data", tmp_path / "figures.json"
    for part in ("images", "labels"):
        (data / part).mkdir(parents=True)
    for index in range(4):
        image, labels = scene(index)
        save_image(data / "images" / f"{index}.png", image)
        save_image(data / "labels" / f"{index}.png", np.array([7, 3, 0], np.uint8)[labels])
    argv = ["eval", "--task", "propagate", "--data", str(data), "--json", str(file), *SMALL]
    assert main([*argv, "--homographies", "2", "--out", str(tmp_path / "out")]) == 0
    figures = figures_of(file)["figures"]
    assert figures["things"] == 2 and figures["frames_with_labels"] == 3 and figures["homographies"] == 2
    assert figures["j_and_f"] == pytest.approx((figures["j"] + figures["f"]) / 2, abs=1e-6)
    assert 0 < figures["pck@0.05"] <= figures["pck@0.1"] <= 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *(f"overlay_{index}.png" for index in range(4)),
        "sheet.png",
    }
    save_image(data / "images" / "2.png", np.zeros((50, 60, 3), np.uint8))
    refused(argv[1:], capsys, "60x50", "one size")


def test_a_box_or_a_mask_says_what_is_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "frames"
    data.mkdir()
    for index in range(2):
        save_image(data / f"{index}.png", scene()[0])
    argv = ["eval", "--task", "propagate", "--data", str(data), "--homographies", "0", *SMALL]
    assert main(argv) == 0
    assert "nothing was marked" in capsys.readouterr().out
    assert main([*argv, "--start-box", "10,10,60,60", "--out", str(tmp_path / "out")]) == 0
    assert "look at the overlays" in capsys.readouterr().out
    # The block is cut out of its box: beside it nothing is painted.
    first = load_image(tmp_path / "out" / "overlay_0.png")
    changed = (first != scene()[0]).any(axis=-1)
    assert changed[20:50, 20:50].all() and not changed[:14].any()
    refused([*argv[1:], "--start-box", "10,10,60,600"], capsys, "112x112")
    Image.new("L", (112, 112)).save(tmp_path / "mask.png")
    refused([*argv[1:], "--start-mask", str(tmp_path / "mask.png")], capsys, "marks nothing")
    Image.new("L", (10, 12), 1).save(tmp_path / "mask.png")
    refused([*argv[1:], "--start-mask", str(tmp_path / "mask.png")], capsys, "10x12")
    refused(["--task", "propagate", "--data", str(tmp_path / "no"), *SMALL], capsys, "does not exist")


@pytest.mark.parametrize(
    "argv", [[], ["--task", "other"], ["--task", "seg", "--data", "x", "--limit", "0"],
             ["--task", "propagate", "--data", "x", "--start-box", "1,2,3"]]
)  # fmt: skip
def test_wrong_usage_exits_with_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["eval", *argv])
    assert stop.value.code == 2


# The simulated household and optional data.


@pytest.mark.slow
def test_the_household_is_measured_by_every_task_that_knows_it(tmp_path: Path) -> None:
    pytest.importorskip("mujoco")
    file, names = tmp_path / "figures.json", "chair, floor: green; blue"
    for task, key in (("seg", "iou"), ("det", "masks"), ("track", "sequences")):
        argv = ["eval", "--task", task, "--data", "household:2", "--seed", "3", "--json", str(file), *SMALL]
        assert main([*argv, *(["--vocabulary", names] if task != "track" else [])]) == 0
        first = figures_of(file)["figures"]
        assert key in first
        if task == "det":
            assert first["presence"]["absent_names"] == 40 and first["pictures"] == 2
        if task == "track":
            assert first["sequences"]["household 3"]["true_identities"] >= 3


def test_scenes_say_what_is_there_and_what_is_certainly_not() -> None:
    pytest.importorskip("mujoco")
    scenes = HouseholdScenes(HouseholdOptions(scenes=2, seed=3))
    for sample, labelled in zip(scenes, scenes.labelled(), strict=True):
        assert np.array_equal(sample.image, labelled.image)
        there = {name for thing in sample.things for name in thing.names}
        assert {"floor", "wall"} & there and not there & set(sample.absent) and "zebra" not in there
        for thing in sample.things:
            own = labelled.labels == scenes.names.index(thing.names[0])
            assert own[thing.mask].all()


@pytest.mark.parametrize("folder", ["bedroom_video", "kitchen_rgbd"])
def test_real_frames_are_followed(shared: Path, tmp_path: Path, folder: str) -> None:
    file = tmp_path / "figures.json"
    argv = ["eval", "--task", "propagate", "--data", str(shared / "data" / folder), "--limit", "3"]
    argv += ["--start-box", "200,50,400,300", "--homographies", "1", "--json", str(file)]
    assert main([*argv, *SMALL]) == 0
    figures = figures_of(file)["figures"]
    assert figures["frames"] == 3 and figures["things"] == 1 and figures["j"] is None
