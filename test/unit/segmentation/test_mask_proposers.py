"""Proposals of the SAM family: the authors' interfaces by tiny files, which are taken, and what follows.

The files draw the box that they are given, in the square that their authors' models see, and bring it
back to the image with the operations of the authors' exports.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from small_models import encoders_of

from perception_contrast.cli.main import EXIT_ERROR, main
from perception_contrast.core.detection import Detection, Scores, detection_iou
from perception_contrast.core.errors import ModelError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import UNLABELLED, Query
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.preprocessing.to_array import normalised
from perception_contrast.segmentation.sam import sam_preprocessing
from perception_contrast.segmentation.sam.base import MaskProposer, ProposedMasks
from perception_contrast.segmentation.sam.load_mask_proposer import load_mask_proposer
from perception_contrast.segmentation.sam.mask_refinement import (
    MaskRefiner,
    refine_masks,
    suppress_duplicates,
)
from perception_contrast.segmentation.sam.registered_proposers import (
    registered_proposer,
    registered_proposer_names,
)
from perception_contrast.segmentation.search_result import SearchResult

HEAD = '<ir_version: 8, opset_import: ["" : 17]>\n'
# (1024, 1024) logits of the box between two points: its pixels from the first to the last, ends included.
BOX = """
  zero = Constant<value_float = 0.0>()
  one = Constant<value_float = 1.0>()
  two = Constant<value_float = 2.0>()
  half = Constant<value_float = 0.5>()
  side = Constant<value_float = 1024.0>()
  first = Constant<value_ints = [0]>()
  second = Constant<value_ints = [1]>()
  four = Constant<value_ints = [4]>()
  each = Constant<value_ints = [1, 1, 1, 1]>()
  places = Range(zero, side, one)
  flat = Reshape(points, four)
  x0, y0, x1, y1 = Split<axis = 0>(flat, each)
  after = GreaterOrEqual(places, x0)
  before = LessOrEqual(places, x1)
  across = And(after, before)
  under = GreaterOrEqual(places, y0)
  over = LessOrEqual(places, y1)
  down = And(under, over)
  columns = Unsqueeze(across, first)
  rows = Unsqueeze(down, second)
  inside = And(rows, columns)
  ones = Cast<to = 1>(inside)
  twos = Mul(ones, two)
  square = Sub(twos, one)
  corner_labels = Constant<value_floats = [2.0, 3.0]>()
  as_pair = Constant<value_ints = [2]>()
  given = Reshape(labels, as_pair)
  same = Equal(given, corner_labels)
  same_ones = Cast<to = 1>(same)
  known = ReduceMin<keepdims = 0>(same_ones)
  quality = Constant<value_floats = [0.1, 0.9]>()
  rated = Mul(quality, known)
"""
# Of the square, what the image covers, at the image's size (SamOnnxModel.mask_postprocessing).
UNPADDED = """
  longest = ReduceMax<keepdims = 1>(orig_im_size)
  scale = Div(side, longest)
  exact = Mul(orig_im_size, scale)
  raised = Add(exact, half)
  floored = Floor(raised)
  covered = Cast<to = 7>(floored)
  origin = Constant<value_ints = [0, 0]>()
  axes = Constant<value_ints = [0, 1]>()
  cut = Slice(square, origin, covered, axes)
  batch = Unsqueeze(cut, axes)
  wanted = Cast<to = 7>(orig_im_size)
"""
# The square stretched to the image (OnnxEfficientSam.predict_masks).
STRETCHED = """
  axes = Constant<value_ints = [0, 1]>()
  batch = Unsqueeze(square, axes)
"""
# Two candidates, the first of them everything, with the lesser quality.
CANDIDATES = """
  lead = Constant<value_ints = [1, 1]>()
  sizes = Concat<axis = 0>(lead, wanted)
  drawn = Resize<mode = "linear", coordinate_transformation_mode = "half_pixel">(batch, , , sizes)
  low_res_masks = Identity(batch)
  all = Abs(drawn)
  both = Add(all, one)
"""
SAM_ENCODER = (
    "encoder (float[{shape}] x) => (float[1,1,1,1] image_embeddings) {{\n"
    "  mean = ReduceMean<keepdims = 0>(x)\n  four = Constant<value_ints = [1, 1, 1, 1]>()\n"
    "  image_embeddings = Reshape(mean, four)\n}}"
)
SAM_DECODER = (
    "decoder (float[1,1,1,1] image_embeddings, float[1,N,2] point_coords, float[1,N] point_labels,"
    " float[1,1,256,256] mask_input, float[1] has_mask_input, float[2] orig_im_size)"
    " => (float[1,2,H,W] masks, float[1,2] iou_predictions, float[1,1,1024,1024] low_res_masks) {\n"
    "  points = Identity(point_coords)\n  labels = Identity(point_labels)\n"
    + BOX
    + UNPADDED
    + CANDIDATES
    + "  masks = Concat<axis = 1>(both, drawn)\n  iou_predictions = Unsqueeze(rated, first)\n}"
)
EFFICIENT_END = (
    "  apart = Concat<axis = 1>(both, drawn)\n  output_masks = Unsqueeze(apart, first)\n"
    "  iou_predictions = Unsqueeze(rated, axes)\n}"
)
# x of the square is x of the image times 1024 / width (get_rescaled_pts).
RESCALED = """
  height_width = Cast<to = 1>(wanted)
  back = Constant<value_ints = [1, 0]>()
  width_height = Gather(height_width, back)
  square_side = Constant<value_float = 1024.0>()
  factor = Div(square_side, width_height)
  points = Mul(batched_point_coords, factor)
  labels = Identity(batched_point_labels)
"""
EFFICIENT_OUTPUTS = " => (float[1,1,2,H,W] output_masks, float[1,1,2] iou_predictions) {\n"
PROMPTS = "float[1,1,{points},2] batched_point_coords, float[1,1,{points}] batched_point_labels"
EFFICIENT = (
    "whole (float[B,3,H,W] batched_images, "
    + PROMPTS
    + ")"
    + EFFICIENT_OUTPUTS
    + "  shape = Shape(batched_images)\n  from = Constant<value_ints = [2]>()\n"
    "  until = Constant<value_ints = [4]>()\n  wanted = Slice(shape, from, until)\n"
    + RESCALED
    + BOX
    + STRETCHED
    + CANDIDATES
    + EFFICIENT_END
)
EFFICIENT_DECODER = (
    "decoder (float[1,1,1,1] image_embeddings, "
    + PROMPTS
    + ", int64[2] orig_im_size)"
    + EFFICIENT_OUTPUTS
    + "  wanted = Identity(orig_im_size)\n"
    + RESCALED
    + BOX
    + STRETCHED
    + CANDIDATES
    + EFFICIENT_END
)
EFFICIENT_ENCODER = SAM_ENCODER.replace("] x)", "] batched_images)").replace("(x)", "(batched_images)")
SQUARE = "1,3,1024,1024"


def written(path: Path, text: str) -> Path:
    onnx.save(onnx.parser.parse_model(HEAD + text), str(path))
    return path


def sam(folder: Path, shape: str = SQUARE) -> tuple[Path, Path]:
    encoder = written(folder / "encoder.onnx", SAM_ENCODER.format(shape=shape))
    return encoder, written(folder / "decoder.onnx", SAM_DECODER)


def sam_with_preprocessing(folder: Path) -> tuple[Path, Path]:
    return sam(folder, "H,W,3")


def sam_backwards(folder: Path) -> tuple[Path, Path]:
    encoder, decoder = sam(folder)
    return decoder, encoder


def efficient(folder: Path) -> tuple[Path, ...]:
    return (written(folder / "whole.onnx", EFFICIENT.replace("{points}", "P")),)


def efficient_apart(folder: Path) -> tuple[Path, ...]:
    encoder = written(folder / "encoder.onnx", EFFICIENT_ENCODER.format(shape="B,3,H,W"))
    return encoder, written(folder / "decoder.onnx", EFFICIENT_DECODER.replace("{points}", "P"))


KINDS = (sam, sam_with_preprocessing, sam_backwards, efficient, efficient_apart)


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("size", [(120, 200), (1500, 1100)])
def test_a_box_comes_back_at_its_pixels(
    tmp_path: Path, make: Callable[[Path], tuple[Path, ...]], size: tuple[int, int]
) -> None:
    boxes = np.array([[30, 40, 90, 100], [0, 0, size[1], size[0]], [7, 81, 190, 117]], np.float32)
    image = np.zeros((*size, 3), np.uint8)
    masks, quality = load_mask_proposer(make(tmp_path), "cpu").propose(image, boxes)
    assert masks.shape == (3, *size) and masks.dtype == bool
    assert quality == pytest.approx([0.9] * 3) and quality.dtype == np.float32
    for mask, box in zip(masks, boxes, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        found = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        assert np.abs(np.array(found) - box).max() <= 1
        x0, y0, x1, y1 = box.astype(int)
        assert mask[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1].all()


def test_no_boxes_are_no_masks(tmp_path: Path) -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    for make in (sam, efficient_apart):
        masks, quality = load_mask_proposer(make(tmp_path), "cpu").propose(
            image, np.zeros((0, 4), np.float32)
        )
        assert masks.shape == (0, 30, 40) and quality.shape == (0,)


def test_pixels_are_those_of_sams_predictor() -> None:
    """Sam.preprocess and ResizeLongestSide: normalised by these numbers of 0..255, then padded by zeros."""
    assert sam_preprocessing.resized_size((480, 640)) == (768, 1024) and sam_preprocessing.resized_size(
        (3000, 1999)
    ) == (1024, 682)
    image = np.full((480, 640, 3), (200, 100, 50), np.uint8)
    seen = sam_preprocessing.resize_antialiased(image, (768, 1024))
    values = sam_preprocessing.pad_to_square(normalised(seen, sam_preprocessing.MEAN, sam_preprocessing.STD))
    expected = (np.array([200, 100, 50]) - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]
    assert values.shape == (1, 3, 1024, 1024) and values.dtype == np.float32
    np.testing.assert_allclose(values[0, :, 767, 1023], expected, atol=1e-4)
    assert not values[0, :, 768:].any()


def test_files_of_another_kind_are_refused_with_what_they_are(tmp_path: Path) -> None:
    other = written(
        tmp_path / "other.onnx",
        "net (float[1,3,8,8] pixel_values) => (float[1,3,8,8] y) { y = Abs(pixel_values) }",
    )
    encoder, decoder = sam(tmp_path)
    for files in ((other,), (encoder,), (encoder, other), (decoder, decoder), (encoder, decoder, other)):
        with pytest.raises(ModelError, match="SAM family") as refusal:
            load_mask_proposer(files, "cpu")
        assert all(str(path) in str(refusal.value) for path in files)
        assert "batched_point_coords" in str(refusal.value)
    with pytest.raises(ModelError, match=r"other\.onnx .*pixel_values"):
        load_mask_proposer(other, "cpu")


def test_exports_that_cannot_serve_say_why(tmp_path: Path) -> None:
    small = sam(tmp_path, "1,3,512,512")
    with pytest.raises(ModelError, match="512x512"):
        load_mask_proposer(small, "cpu")
    single = written(tmp_path / "single.onnx", EFFICIENT.replace("{points}", "1"))
    with pytest.raises(ModelError, match=r"1 point\(s\) a prompt"):
        load_mask_proposer(single, "cpu")
    with pytest.raises(ModelError, match=r"no file .*absent\.onnx"):
        load_mask_proposer(tmp_path / "absent.onnx", "cpu")
    (tmp_path / "damaged.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"damaged\.onnx"):
        load_mask_proposer(tmp_path / "damaged.onnx", "cpu")


def test_torch_is_not_needed() -> None:
    module = "perception_contrast.segmentation.sam.load_mask_proposer"
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# What is taken, and what follows.

SIZE = (40, 60)


def mask_of(box: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def detection(label: str, box: tuple[int, int, int, int], probability: float = 0.9) -> Detection:
    return Detection(
        label, Scores(0.5, 0.5, probability), box, np.ones((box[3] - box[1], box[2] - box[0]), bool)
    )


def refined_by(
    found: list[Detection], boxes: list[tuple[int, int, int, int]], quality: list[float]
) -> SearchResult:
    before = SearchResult(np.full(SIZE, UNLABELLED, np.uint16), tuple(found))
    ids = {label: number for number, label in enumerate(sorted({one.label for one in found}), start=1)}
    return refine_masks(
        before, ProposedMasks(np.stack([mask_of(b) for b in boxes]), np.array(quality, np.float32)), ids
    )


@pytest.mark.parametrize(
    ("box", "quality", "replaces"),
    [
        ((10, 10, 30, 20), 0.71, True),  # twice as large: an IoU of exactly one half
        ((10, 10, 31, 20), 0.9, False),
        ((10, 10, 20, 19), 0.69, False),
        ((12, 10, 20, 20), 0.9, True),
        ((40, 30, 50, 40), 0.9, False),
        ((0, 0, 0, 0), 0.9, False),  # nothing drawn
        ((12, 10, 20, 20), float("nan"), False),
    ],
)
def test_a_proposal_replaces_what_it_agrees_with(
    box: tuple[int, int, int, int], quality: float, replaces: bool
) -> None:
    own = detection("mug", (10, 10, 20, 20))
    one = refined_by([own], [box], [quality]).detections[0]
    assert one.box == (box if replaces else own.box)
    assert one.mask.shape == (one.box[3] - one.box[1], one.box[2] - one.box[0]) and one.mask.all()
    assert (one.label, one.scores) == (own.label, own.scores)


def test_one_thing_is_found_once_and_the_surer_stays() -> None:
    found = [
        detection("mug", (10, 10, 20, 20), 0.9),
        detection("mug", (12, 10, 20, 20), 0.8),
        detection("cup", (10, 10, 20, 20), 0.7),
        detection("mug", (30, 10, 40, 20), 0.6),
    ]
    after = refined_by(found, [(10, 10, 20, 20)] * 2, [0.9, 0.9])
    assert [(one.label, one.scores.probability) for one in after.detections] == [
        ("mug", 0.9),
        ("cup", 0.7),
        ("mug", 0.6),
    ]
    # An IoU of exactly 0.8 is two things still.
    both = [detection("mug", (0, 0, 10, 10)), detection("mug", (0, 0, 8, 10))]
    assert detection_iou(*both) == 0.8 and suppress_duplicates(both) == tuple(both)


def test_labels_are_the_detections_and_the_surer_owns_the_pixel() -> None:
    found = [detection("mug", (10, 10, 20, 20), 0.9), detection("cup", (18, 10, 30, 20), 0.8)]
    after = refined_by(found, [(9, 9, 21, 21), (16, 10, 30, 20)], [0.9, 0.9])
    expected = np.full(SIZE, UNLABELLED, np.uint16)
    expected[10:20, 16:30] = 1  # the cup
    expected[9:21, 9:21] = 2
    np.testing.assert_array_equal(after.masks, expected)
    assert after.masks.dtype == np.uint16


class Scripted:
    """Proposes every box widened by two pixels to the left."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def propose(self, image: np.ndarray, boxes: np.ndarray) -> ProposedMasks:
        self.asked.append(len(boxes))
        masks = np.zeros((len(boxes), *image.shape[:2]), bool)
        for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int), strict=True):
            mask[y0:y1, max(0, x0 - 2) : x1] = True
        return ProposedMasks(masks, np.ones(len(boxes), np.float32))


def test_the_best_ones_are_handed_over() -> None:
    image, proposer = np.zeros((*SIZE, 3), np.uint8), Scripted()
    found = SearchResult(
        np.full(SIZE, UNLABELLED, np.uint16),
        tuple(detection("mug", (15 * k + 5, 5, 15 * k + 12, 15), 0.9 - k / 10) for k in range(3)),
    )
    after = MaskRefiner(proposer)(image, found, {"mug": 1}, 2)
    assert [one.box[0] for one in after.detections] == [3, 18, 35] and proposer.asked == [2]
    assert MaskRefiner(proposer)(image, found, {"mug": 1}, 0) is found and proposer.asked == [2]


# In the pipeline, the cache, the command and the node.

WANTS = OutputRequest(masks=True, detections=True)


def red_square() -> Frame:
    image = np.full((120, 200, 3), 128, np.uint8)
    image[40:90, 60:110] = (230, 20, 20)
    return Frame(image, stamp=1, frame_id="camera")


def pipeline_with(proposer: MaskProposer | None) -> Pipeline:
    settings = PipelineSettings(short_side=56, max_tokens=64)
    pipeline = Pipeline(encoders_of("colours"), settings, proposer=proposer)
    pipeline.set_queries([Query("red")])
    return pipeline


def test_the_pipeline_publishes_what_was_drawn_anew(tmp_path: Path) -> None:
    own = pipeline_with(None).process(red_square(), WANTS)
    pipeline = pipeline_with(load_mask_proposer(sam(tmp_path), "cpu"))
    pipeline.warm_up((120, 200))
    result = pipeline.process(red_square(), WANTS)
    assert own.detections and len(result.detections) == len(own.detections)
    labels = np.full((120, 200), UNLABELLED, np.uint16)
    for one, before in zip(result.detections, own.detections, strict=True):
        assert one.mask.all(), "the file draws full boxes"
        assert np.abs(np.array(one.box) - before.box).max() <= 1
        labels[one.box[1] : one.box[3], one.box[0] : one.box[2]] = 1
    np.testing.assert_array_equal(result.masks, labels)
    assert pipeline.warnings == () and "proposals" in result.timings


def test_files_that_fail_leave_the_own_masks_and_are_reported_once(tmp_path: Path) -> None:
    encoder, decoder = sam(tmp_path)
    astray = "as_pair = Constant<value_ints = [9]>()\n  tenth = Gather<axis = 1>(labels, as_pair)\n"
    astray += "  given = Reshape(tenth, second)\n  lost = Constant<value_int = 0>()\n  "
    before, after = SAM_DECODER.split("as_pair = ")
    written(decoder, before + astray + after.split("as_pair)\n", 1)[1])
    own = pipeline_with(None).process(red_square(), WANTS)
    pipeline = pipeline_with(load_mask_proposer((encoder, decoder), "cpu"))
    for _ in range(3):
        result = pipeline.process(red_square(), WANTS)
        np.testing.assert_array_equal(result.masks, own.masks)
        assert [one.box for one in result.detections] == [one.box for one in own.detections]
    assert len(pipeline.warnings) == 1 and str(decoder) in pipeline.warnings[0]


def test_masks_of_another_shape_are_refused(tmp_path: Path) -> None:
    encoder, decoder = sam(tmp_path)
    written(decoder, SAM_DECODER.replace("masks = Concat<axis = 1>(both, drawn)", "masks = Identity(batch)"))
    with pytest.raises(ModelError, match=r"decoder\.onnx gave masks of shape"):
        load_mask_proposer((encoder, decoder), "cpu").propose(
            np.zeros((30, 40, 3), np.uint8), np.array([[0, 0, 9, 9]], np.float32)
        )


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_files_are_added_under_a_name_and_served_from_the_cache(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add = ["models", "add", "mobile-sam"]
    assert main([*add, *map(str, sam(tmp_path)), "--like", "sam", "--licence", "MIT"]) == 0
    kept = registered_proposer("mobile-sam")
    assert len(kept.files) == 2 and kept.licence == "MIT" and cache in kept.files[0].parents
    load_mask_proposer(kept.files, "cpu")
    assert main([*add, *map(str, efficient(tmp_path)), "--like", "sam"]) == 0
    load_mask_proposer(registered_proposer("mobile-sam").files, "cpu")
    assert [path.suffix for path in (cache / "local" / "mobile-sam").iterdir()].count(".onnx") == 1
    assert main(["models", "info", "mobile-sam"]) == 0 and main(["models", "list"]) == 0
    assert "unknown" in (told := capsys.readouterr().out) and "mask proposals" in told


def test_weights_in_another_file_are_not_half_taken_in(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder, decoder = sam(tmp_path)
    model = onnx.load(encoder)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((1, 1, 1, 1), np.float32), "bias"))
    model.graph.node[-1].output[0] = "unbiased"
    model.graph.node.append(onnx.helper.make_node("Add", ["unbiased", "bias"], ["image_embeddings"]))
    onnx.save(model, str(encoder), save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert main(["models", "add", "mine", str(encoder), str(decoder), "--like", "sam"]) == EXIT_ERROR
    assert "as one file" in capsys.readouterr().err and registered_proposer_names() == ()


@pytest.mark.parametrize(
    ("name", "like", "reason"),
    [
        ("dinov2-s14", "sam", "is a model already"),
        ("../up", "sam", "cannot name a model"),
        ("mine", "sam", "pixel_values"),
        ("mine", "resnet50", "2 files"),
    ],
)
def test_what_cannot_be_added_leaves_nothing(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], name: str, like: str, reason: str
) -> None:
    other = written(
        tmp_path / "other.onnx",
        "net (float[1,3,8,8] pixel_values) => (float[1,3,8,8] y) { y = Abs(pixel_values) }",
    )
    files = [str(other), str(other)]
    assert main(["models", "add", name, *files, "--like", like]) == EXIT_ERROR
    assert reason in capsys.readouterr().err
    assert registered_proposer_names() == () and not cache.exists()


def test_a_card_names_no_file_elsewhere(tmp_path: Path, cache: Path) -> None:
    assert main(["models", "add", "mine", *map(str, sam(tmp_path)), "--like", "sam"]) == 0
    card = cache / "local" / "mine" / "proposals.json"
    card.write_text('{"files": ["../../elsewhere.onnx"], "licence": ""}')
    assert registered_proposer("mine").files == (card.with_name("elsewhere.onnx"),)
    card.write_text("{}")
    with pytest.raises(ModelError, match="add it again"):
        registered_proposer("mine")


def test_the_node_takes_a_name_that_was_added(tmp_path: Path, cache: Path) -> None:
    parameters = pytest.importorskip("perception_contrast.ros.parameters.node_parameters")
    values = parameters.defaults()
    assert parameters.proposal_files(values) is None
    assert main(["models", "add", "mine", *map(str, sam(tmp_path)), "--like", "sam"]) == 0
    parameters.check_together({**values, "proposals": "mine"}, ["proposals"])
    assert parameters.proposal_files({**values, "proposals": "mine"}) == registered_proposer("mine").files
    for name in ("yours", str(tmp_path / "encoder.onnx"), "../mine"):
        with pytest.raises(parameters.ParameterError, match="there are mine"):
            parameters.check_together({**values, "proposals": name}, ["proposals"])
