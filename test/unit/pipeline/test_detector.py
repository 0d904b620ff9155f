"""The public detector, with tiny models and with a tower that knows colours."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from small_models import ColourWords, pipeline_of

from perception_contrast.core.errors import FrameError, ModelError, PerceptionError, QueryError, SpaceError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import UNLABELLED, Query, Vocabulary
from perception_contrast.images.run_length import decode_mask
from perception_contrast.pipeline.detector.base import Detector
from perception_contrast.pipeline.detector.load import load
from perception_contrast.pipeline.detector.pipeline_detector import PipelineDetector

RED, BLUE = (230, 20, 20), (20, 20, 230)


def detector_of(kind: str = "colours") -> Detector:
    return PipelineDetector(pipeline_of(kind, short_side=112, max_tokens=256), "cpu")


def painted(*things: tuple[tuple[int, int, int, int], tuple[int, int, int]]) -> np.ndarray:
    """A grey image with coloured boxes."""
    image = np.full((112, 168, 3), 128, np.uint8)
    for (x0, y0, x1, y1), colour in things:
        image[y0:y1, x0:x1] = colour
    return image


BOTH = Vocabulary.of(["red", "blue"], ["grey", "green"])
ONE = Vocabulary.of(["red"], ["grey", "green", "blue"])
SCENE = painted(((14, 28, 56, 84), RED), ((98, 14, 154, 70), BLUE))


def overlap(box: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Intersection over union of two boxes."""
    width = max(0, min(box[2], other[2]) - max(box[0], other[0]))
    height = max(0, min(box[3], other[3]) - max(box[1], other[1]))
    areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other))
    return width * height / (areas - width * height)


def test_things_are_found_where_they_are() -> None:
    result = detector_of()(SCENE, BOTH)
    boxes = {one.label: one.box for one in result.detections}
    assert overlap(boxes["red"], (14, 28, 56, 84)) > 0.7 and overlap(boxes["blue"], (98, 14, 154, 70)) > 0.7
    assert result.masks.shape == (2, 112, 168) and result.masks.dtype == bool
    for mask, found in zip(result.masks, result.detections, strict=True):
        x0, y0, x1, y1 = found.box
        np.testing.assert_array_equal(mask[y0:y1, x0:x1], found.mask)
        assert mask.sum() == found.mask.sum()
        assert (result.label_map[mask] == result.vocabulary.ids[found.label]).mean() > 0.9
    assert result.label_map[0, 0] == UNLABELLED
    assert result.boxes.shape == (2, 4) and set(result.labels) == {"red", "blue"} and len(result) == 2


@pytest.mark.parametrize(
    "image",
    [
        SCENE,
        np.dstack([SCENE, np.zeros(SCENE.shape[:2], np.uint8)]),
        np.asfortranarray(SCENE),
        SCENE[::-1][::-1],
        Image.fromarray(SCENE),
        Image.fromarray(SCENE).convert("RGBA"),
        Frame(SCENE),
    ],
    ids=["rgb", "rgba", "fortran", "negative strides", "pillow", "pillow rgba", "frame"],
)
def test_every_kind_of_image_gives_the_same(image: object) -> None:
    detector = detector_of()
    assert detector(image, ONE).boxes.tolist() == detector(SCENE, ONE).boxes.tolist()


def test_files_are_read_and_orientation_is_left_alone(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(SCENE).save(tmp_path / "turned.jpg", exif=exif)
    Image.fromarray(SCENE).save(tmp_path / "plain.png")
    detector = detector_of()
    for name in ("turned.jpg", "plain.png"):
        for path in (tmp_path / name, str(tmp_path / name)):
            assert detector(path, ["red"]).image.shape == SCENE.shape
    assert detector(Image.open(tmp_path / "turned.jpg"), ["red"]).image.shape == SCENE.shape


def test_grey_images_of_all_kinds_are_grey() -> None:
    grey = np.arange(56 * 70, dtype=np.uint16).reshape(56, 70)
    eight = (grey // 257).astype(np.uint8)
    detector = detector_of()
    for image in (eight, eight[..., None], Image.fromarray(eight), Image.fromarray(eight).convert("P")):
        seen = detector(image).image
        np.testing.assert_array_equal(seen, np.repeat(eight[..., None], 3, 2))
    assert detector(Image.fromarray(grey)).image.max() == round(int(grey.max()) / 257)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (SCENE / 255, r"float64 is not uint8; .*\(255 \* image\)"),
        (SCENE.astype(np.uint16), "uint16 is not uint8"),
        (SCENE[..., 0] > 0, r"255 \* mask"),
        (SCENE.transpose(2, 0, 1), r"image.transpose\(1, 2, 0\)"),
        (SCENE[None], "RGB"),
        (SCENE[:0], "no pixels"),
        (torch.zeros(3, 8, 8), r"permute\(1, 2, 0\)"),
        (Image.fromarray(np.zeros((8, 8), np.float32)), 'convert\\("RGB"\\)'),
        ([SCENE, SCENE], "detector.batch"),
        (None, "NoneType is no image"),
    ],
)
def test_what_is_no_image_is_refused_with_the_remedy(image: object, said: str) -> None:
    with pytest.raises(FrameError, match=said):
        detector_of()(image, ["red"])


def test_a_missing_file_is_named() -> None:
    with pytest.raises(PerceptionError, match=r"nowhere\.png"):
        detector_of()("nowhere.png", ["red"])


def test_calls_do_not_depend_on_what_was_called_before() -> None:
    fresh = detector_of()(SCENE, ["blue"])
    used = detector_of()
    used(SCENE, ["red", "grey", "green"], threshold=0.9)
    later = used(SCENE, ["blue"])
    assert later.to_dict() == fresh.to_dict() == used(SCENE, ["blue"]).to_dict()
    np.testing.assert_array_equal(later.label_map, fresh.label_map)
    np.testing.assert_array_equal(later.plot(), fresh.plot())
    np.testing.assert_array_equal(later.plot_features(), used(SCENE).plot_features())
    assert all(one.track_id == "" for one in later.detections)


def test_the_same_queries_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[list[str]] = []
    encode = ColourWords.encode

    def counted(self: ColourWords, texts: list[str]) -> np.ndarray:
        encoded.append(list(texts))
        return encode(self, texts)

    detector = detector_of()
    monkeypatch.setattr(ColourWords, "encode", counted)
    for _ in range(3):
        detector(SCENE, ["red", "blue"])
    assert len(encoded) == 1
    detector(SCENE, ["red", "blue"], distractors=["green"])
    assert len(encoded) == 2


def test_thresholds_hold_for_their_call_alone() -> None:
    detector = detector_of()
    pale = painted(((14, 28, 56, 84), (180, 110, 110)), ((98, 14, 154, 70), BLUE))
    usual = detector(pale, BOTH)
    assert set(usual.labels) == {"red", "blue"}
    between = float(usual.scores.mean())
    assert detector(pale, BOTH, threshold=between).labels == ("blue",)
    assert detector(pale, BOTH, max_detections=1).labels == ("blue",)
    fading = painted()
    share = np.linspace(1, 0, 70)[:, None]  # from red to blue
    fading[28:84, 14:84] = (share * RED + (1 - share) * BLUE).round().astype(np.uint8)
    maps = [detector(fading, ONE, mask_threshold=cut).label_map for cut in (0.5, 0.95)]
    assert 0 < (maps[1] == 1).sum() < (maps[0] == 1).sum()
    assert detector(pale, BOTH).to_dict() == usual.to_dict()


@pytest.mark.parametrize("options", [{"threshold": 1.5}, {"mask_threshold": 0.0}, {"max_detections": 0}])
def test_thresholds_that_are_none_are_refused(options: dict) -> None:
    with pytest.raises(QueryError, match=next(iter(options))):
        detector_of()(SCENE, ["red"], **options)


def test_a_batch_gives_what_its_images_give() -> None:
    detector = detector_of()
    images = [SCENE, SCENE[:, ::-1].copy(), SCENE[:56], SCENE]
    alone = [detector(image, BOTH).to_dict() for image in images]
    for size in (1, 3, 16):
        together = [one.to_dict() for one in detector.batch(images, BOTH, batch_size=size)]
        assert [[d["box"] for d in one["detections"]] for one in together] == [
            [d["box"] for d in one["detections"]] for one in alone
        ]
    assert detector.batch([], ["red"]) == []
    with pytest.raises(ValueError, match="batch_size"):
        detector.batch([SCENE], ["red"], batch_size=0)


def test_an_exemplar_of_one_image_is_found_in_another() -> None:
    detector = detector_of("lit")
    noise = np.random.default_rng(0).integers(0, 256, SCENE.shape, dtype=np.uint8)
    for where in ({"box": (14, 28, 56, 84)}, {"point": (35.0, 56.0)}, {}):
        exemplar = detector.exemplar(noise, **where)
        result = detector(noise, [Query("it", exemplars=(exemplar,))])
        assert set(result.labels) <= {"it"}
    with pytest.raises(QueryError):
        detector.exemplar(noise, point=(9999, 0))
    other = detector_of("clip").exemplar(noise)
    with pytest.raises((QueryError, SpaceError), match="space"):
        detector(noise, [Query("it", exemplars=(other,))])
    # What was refused must not be taken for what is in force.
    with pytest.raises((QueryError, SpaceError), match="space"):
        detector(noise, [Query("it", exemplars=(other,))])


def test_features_and_embeddings_are_there_without_queries() -> None:
    result = detector_of("lit")(SCENE)
    assert result.detections == () and result.masks.shape == (0, 112, 168)
    assert result.features.image_size == (112, 168) and result.features.space == "dinov2-s14@small"
    assert result.semantic_features.space == result.embedding_space == "household-lit@small"
    assert np.linalg.norm(result.embedding) == pytest.approx(1, abs=1e-3)
    assert result.plot_features().shape == (112, 168, 3)


def test_detections_have_vectors_and_numbered_pixels() -> None:
    detector = detector_of()
    result = detector(painted(((30, 30, 90, 90), RED)), ["red"])
    (found,), regions = result.detections, result.region_features
    np.testing.assert_array_equal(result.instances == 1, result.masks[0])
    assert (
        regions.detections == result.detections and regions.semantic_space == detector.models["semantic"][1]
    )
    words = detector.embed_texts(["red", "blue"])
    assert regions.vectors[0].semantic is not None and found.label == "red"
    assert int(np.argmax(words @ regions.vectors[0].semantic)) == 0
    assert regions.vectors[0].spatial is not None and regions.spatial_space == result.features.space


def test_without_a_language_model_words_are_refused() -> None:
    detector = detector_of("none")
    with pytest.raises(QueryError, match="no language model"):
        detector(SCENE, ["red"])
    with pytest.raises(ModelError, match="no language model"):
        _ = detector(SCENE).semantic_features
    assert detector(SCENE).features.shape[2] > 0


def test_texts_labels_and_similarity() -> None:
    detector = detector_of()
    assert detector.embed_texts(["red", "blue"]).shape == (2, 5)
    shown = detector.classify(painted(((0, 0, 168, 112), RED)), ["red", "blue"])
    assert shown.labels[int(shown.probabilities.argmax())] == "red"
    heat = detector.similarity(SCENE, text="red")
    assert heat.shape == (112, 168) and heat[28:84, 14:56].mean() > heat[14:70, 98:154].mean()
    assert detector.similarity(SCENE, point=(35, 56)).shape == (112, 168)
    with pytest.raises(QueryError, match="point or a text"):
        detector.similarity(SCENE)
    with pytest.raises(QueryError, match="point or a text"):
        detector.similarity(SCENE, text="red", point=(3, 3))


def frames(count: int = 4) -> list[np.ndarray]:
    return [painted(((14 + 4 * i, 28, 56 + 4 * i, 84), RED)) for i in range(count)]


def test_a_video_has_tracks_of_its_own() -> None:
    detector = detector_of()
    for _ in range(2):
        ids = [[one.track_id for one in result.detections] for result in detector.video(frames(), ONE)]
        assert ids == [["1"]] * 4
    assert detector(SCENE, ONE).detections[0].track_id == ""


def test_videos_come_from_files_and_folders(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5.0, (168, 112))
    (tmp_path / "images").mkdir()
    for number, image in enumerate(frames()):
        writer.write(image[..., ::-1])
        Image.fromarray(image).save(tmp_path / "images" / f"{number}.png")
    writer.release()
    detector = detector_of()
    for source in (tmp_path / "a.avi", str(tmp_path / "images")):
        results = list(detector.video(source, ONE))
        assert [one.labels for one in results] == [("red",)] * 4
        stamps = [one.frame.stamp for one in results]
        assert stamps == sorted(set(stamps))
    with pytest.raises(PerceptionError, match="does not exist"):
        list(detector.video(tmp_path / "none.mp4", ["red"]))
    with pytest.raises(PerceptionError, match="no recording"):
        list(detector.video(tmp_path / "a.avi", ["red"], topic="/camera"))


def test_many_threads_may_ask_for_different_things() -> None:
    detector = detector_of()
    expected = {label: detector(SCENE, [label]).to_dict() for label in ("red", "blue")}
    wrong: list[str] = []

    def ask(label: str) -> None:
        for _ in range(5):
            if detector(SCENE, [label]).to_dict() != expected[label]:
                wrong.append(label)

    threads = [threading.Thread(target=ask, args=(label,)) for label in ("red", "blue") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_plot_is_drawn_and_written(tmp_path: Path) -> None:
    result = detector_of()(SCENE, ["red"])
    drawn = result.plot(tmp_path / "new" / "out.png")
    assert drawn.shape == SCENE.shape and not np.array_equal(drawn, SCENE)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "new" / "out.png"))[..., ::-1], drawn)
    np.testing.assert_array_equal(result.image, SCENE)
    with pytest.raises(PerceptionError, match="suffix"):
        result.plot(tmp_path / "out.gif")


def test_a_result_as_json_holds_whole_masks() -> None:
    result = detector_of()(SCENE, BOTH)
    stored = result.to_dict()
    assert (stored["height"], stored["width"]) == (112, 168)
    for one, mask in zip(stored["detections"], result.masks, strict=True):
        np.testing.assert_array_equal(decode_mask(one["mask"]), mask)


def test_supervision_gets_everything() -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    detector = detector_of()
    result = detector(SCENE, Vocabulary.of(["yellow", "red", "blue"], ["grey", "green"]))
    found = result.to_supervision()
    assert isinstance(found, supervision.Detections) and len(found) == len(result)
    np.testing.assert_array_equal(found.xyxy, result.boxes)
    np.testing.assert_array_equal(found.mask, result.masks)
    np.testing.assert_array_equal(found.confidence, result.scores)
    names = [query.label for query in result.vocabulary.queries]
    assert (
        [names[number] for number in found.class_id] == list(found.data["class_name"]) == list(result.labels)
    )
    assert found.tracker_id is None
    tracked = next(detector.video([SCENE], ONE)).to_supervision()
    assert tracked.tracker_id.tolist() == [1]
    assert len(detector(SCENE).to_supervision()) == 0


def test_without_supervision_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(PerceptionError, match="pip install supervision"):
        detector_of()(SCENE, ["red"]).to_supervision()


def test_a_vocabulary_may_be_given() -> None:
    result = detector_of()(SCENE, Vocabulary.of(["warm: red; yellow", "cold: blue"], ["grey"]))
    assert set(result.labels) == {"warm", "cold"} and result.vocabulary.ids == {"warm": 1, "cold": 2}


@pytest.mark.parametrize(
    ("name", "said"),
    [("household-li", "household-lit"), ("nothing.onnx", "there is no file"), ("./nowhere", "no model")],
)
def test_what_is_no_model_is_refused(name: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        load(name)


def test_one_image_is_not_taken_as_a_batch_of_its_rows(tmp_path: Path) -> None:
    detector = detector_of()
    for one in (SCENE, Image.fromarray(SCENE), Frame(SCENE), str(tmp_path / "a.png"), tmp_path / "a.png"):
        with pytest.raises(FrameError, match=r"give a list: \[image\]"):
            detector.batch(one, ONE)  # type: ignore[arg-type]
    with pytest.raises(FrameError, match="not several images"):
        detector.video(SCENE, ONE)
    assert len(detector.batch(np.stack([SCENE, SCENE]), ONE)) == 2


def test_options_of_another_type_are_refused() -> None:
    detector = detector_of()
    with pytest.raises(QueryError, match="threshold is 'high'"):
        detector(SCENE, ONE, threshold="high")  # type: ignore[arg-type]
    with pytest.raises(QueryError, match=r"max_detections is 1\.5"):
        detector(SCENE, ONE, max_detections=1.5)  # type: ignore[arg-type]
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="track_seconds"):
            detector.video([SCENE], ONE, track_seconds=wrong)


def test_a_language_model_beside_an_onnx_file_is_refused_and_not_ignored(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="runs without a language model"):
        load(tmp_path / "vits.onnx", "siglip2-b16")


def test_a_single_text_or_label_is_not_taken_as_its_letters() -> None:
    detector = detector_of()
    with pytest.raises(QueryError, match="a text stands in a list"):
        detector.embed_texts("red")
    with pytest.raises(QueryError, match="a label stands in a list"):
        detector.classify(SCENE, "red")
