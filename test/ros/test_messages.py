"""Core types to messages and back, through rclpy's own serialization."""

from __future__ import annotations

import math

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time  # noqa: E402
from perception_contrast_msgs.msg import FeatureMap  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from perception_contrast.core.camera_model import CameraModel, camera_of_info  # noqa: E402
from perception_contrast.core.detection import Detection, Scores  # noqa: E402
from perception_contrast.core.errors import QueryError, SpaceError  # noqa: E402
from perception_contrast.core.feature_grid import FeatureGrid  # noqa: E402
from perception_contrast.core.grid_to_image import GridToImage  # noqa: E402
from perception_contrast.core.vocabulary import Exemplar, Query, Vocabulary  # noqa: E402
from perception_contrast.ros.messages import detection_messages as results  # noqa: E402
from perception_contrast.ros.messages import feature_map  # noqa: E402
from perception_contrast.ros.messages import image_messages as convert  # noqa: E402
from perception_contrast.ros.messages import query_messages as queries  # noqa: E402

pytestmark = pytest.mark.ros
HEADER = Header(stamp=Time(sec=2_000_000_000, nanosec=999_999_999), frame_id="camera/optical frame")
SPACE = "scripted@0123456789ab"


def over_the_wire(message):
    return deserialize_message(serialize_message(message), type(message))


def grid(values: np.ndarray) -> FeatureGrid:
    return FeatureGrid(values, "scripted", SPACE, GridToImage(14.5, 13.25, 6.75, 6.125), (480, 640), True)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_feature_map_comes_back_as_it_was(dtype: str) -> None:
    values = np.random.default_rng(1).normal(size=(5, 7, 3)).astype(dtype)
    message = over_the_wire(feature_map.to_message(grid(values), HEADER, dtype))
    back = feature_map.to_grid(message)
    assert back.values.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(back.values, values)
    assert (back.space, back.model, back.image_size, back.normalized) == (SPACE, "scripted", (480, 640), True)
    assert back.grid_to_image == GridToImage(14.5, 13.25, 6.75, 6.125)
    assert message.header == HEADER


def test_feature_map_bytes_are_row_major_little_endian() -> None:
    values = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    message = feature_map.to_message(grid(np.moveaxis(values, 0, 0)[:, ::-1]), HEADER, "float32")
    assert bytes(message.data) == values[:, ::-1].astype("<f4").tobytes("C")


def test_to_numpy_is_a_view_on_the_message() -> None:
    message = feature_map.to_message(grid(np.zeros((2, 2, 2), np.float32)), HEADER, "float32")
    view = feature_map.to_numpy(message)
    assert np.shares_memory(view, np.frombuffer(message.data, np.uint8))


def test_values_beyond_float16_stay_finite() -> None:
    message = feature_map.to_message(grid(np.full((1, 1, 2), 1e6, np.float32)), HEADER, "float16")
    assert np.isfinite(feature_map.to_numpy(message)).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dtype": "float64"}, "float64"),
        ({"height": 3}, "needs 48"),
        ({"data": b""}, "has 0 bytes"),
        ({"height": 4_000_000_000, "width": 4_000_000_000, "channels": 4_000_000_000}, "needs"),
        ({"height": 0, "data": b""}, "more than 0"),
    ],
)
def test_a_feature_map_that_contradicts_itself_is_refused(changes: dict[str, object], said: str) -> None:
    message = feature_map.to_message(grid(np.zeros((2, 2, 4), np.float32)), HEADER, "float16")
    for name, value in changes.items():
        setattr(message, name, value)
    with pytest.raises(feature_map.FeatureMapError, match=said):
        feature_map.to_numpy(message)


def test_a_grid_map_that_is_no_map_is_refused() -> None:
    message = feature_map.to_message(grid(np.zeros((1, 1, 1), np.float32)), HEADER)
    message.grid_to_image = np.array([math.nan, 1, 0, 0], np.float32)
    with pytest.raises(feature_map.FeatureMapError, match="grid_to_image"):
        feature_map.to_grid(message)


@pytest.mark.parametrize(
    ("values", "encoding", "step"),
    [
        (np.arange(36, dtype=np.uint8).reshape(3, 4, 3), "rgb8", 12),
        (np.arange(12, dtype=np.uint8).reshape(3, 4), "mono8", 4),
        (np.arange(12, dtype=np.uint16).reshape(3, 4) * 257, "mono16", 8),
        (np.arange(12, dtype=">u2").reshape(3, 4), "mono16", 8),
        (np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4), "32FC1", 16),
    ],
)
def test_images_are_dense_and_little_endian(values: np.ndarray, encoding: str, step: int) -> None:
    message = over_the_wire(convert.image_message(values, HEADER))
    assert (message.encoding, message.step, message.is_bigendian) == (encoding, step, 0)
    assert (message.height, message.width) == (3, 4)
    assert bytes(message.data) == values.astype(values.dtype.newbyteorder("<")).tobytes()
    assert message.header == HEADER


def test_an_array_without_an_encoding_is_refused() -> None:
    with pytest.raises(ValueError, match="float64"):
        convert.image_message(np.zeros((2, 2)), HEADER)
    with pytest.raises(ValueError, match="no image encoding"):
        convert.image_message(np.zeros((2, 2, 4), np.uint8), HEADER)


def test_an_image_message_becomes_the_same_frame() -> None:
    image = np.random.default_rng(0).integers(0, 255, (6, 5, 3), np.uint8)
    frame = convert.frame_from_message(over_the_wire(convert.image_message(image, HEADER)))
    np.testing.assert_array_equal(frame.image, image)
    assert frame.frame_id == HEADER.frame_id
    assert convert.frame_header(frame) == HEADER


def test_camera_info_there_and_back_and_uncalibrated() -> None:
    camera = CameraModel(480, 640, 500.0, 510.0, 319.5, 239.5, "plumb_bob", (0.1, 0.0, 0.0, 0.0, 0.0))
    message = over_the_wire(convert.camera_info_message(camera, HEADER))
    assert camera_of_info(message) == camera
    # REP 118: P projects; for an ideal camera its left part is K.
    np.testing.assert_array_equal(np.reshape(message.p, (3, 4))[:, :3], np.reshape(message.k, (3, 3)))
    message.k = [0.0] * 9
    assert camera_of_info(message) is None


def test_a_detection_covers_its_pixels_edge_to_edge() -> None:
    found = Detection(
        "red mug", Scores(0.3, 0.6, 0.875), (10, 20, 20, 21), np.ones((1, 10), bool), track_id="4"
    )
    message = over_the_wire(results.detections_message([found], HEADER))
    one = message.detections[0]
    left = one.bbox.center.position.x - one.bbox.size_x / 2
    right = one.bbox.center.position.x + one.bbox.size_x / 2
    assert (left, right) == (9.5, 19.5)
    assert (one.bbox.center.position.y, one.bbox.size_y) == (20.0, 1.0)
    assert (one.results[0].hypothesis.class_id, one.results[0].hypothesis.score) == ("red mug", 0.875)
    assert one.id == "4" and one.header == HEADER and message.header == HEADER


def test_label_info_names_the_ids_in_force_and_unlabelled() -> None:
    vocabulary = Vocabulary().with_queries([Query("mug"), Query("sofa")]).with_queries([Query("sofa")])
    message = over_the_wire(results.label_info_message(vocabulary, HEADER, 0.25))
    assert {one.class_id: one.class_name for one in message.class_map} == {2: "sofa", 65535: "unlabelled"}
    assert message.threshold == 0.25


def exemplar(*values: float, space: str = SPACE) -> Exemplar:
    vector = np.array(values, np.float32)
    return Exemplar(vector / np.linalg.norm(vector), space, context=np.eye(len(values), dtype=np.float32))


def test_queries_there_and_back_keep_what_surrounded_an_exemplar() -> None:
    shown, other = exemplar(3.0, 4.0), exemplar(4.0, 3.0)
    asked = [
        Query("mug", ("a red mug", "a cup")),
        Query("it", exemplars=(shown,), threshold=0.5, negative_exemplars=(other,)),
        Query("sofa"),
    ]
    message = over_the_wire(queries.query_set_message(Vocabulary().with_queries(asked, ["wall"]), HEADER))
    assert message.version == 1 and list(message.distractors) == ["wall"]
    back = [queries.query_from_message(one, SPACE, [shown]) for one in message.queries]
    assert back[0] == asked[0] and back[2] == asked[2]
    assert back[1].threshold == 0.5 and back[1].exemplars[0] is shown
    np.testing.assert_allclose(back[1].negative_exemplars[0].vector, other.vector)
    stranger = queries.query_from_message(message.queries[1], SPACE)
    np.testing.assert_allclose(stranger.exemplars[0].vector, [0.6, 0.8])


def test_an_exemplar_of_another_space_is_refused() -> None:
    query = queries.query_message(Query("it", exemplars=(exemplar(1.0, 0.0, space="other@0"),)), HEADER)
    with pytest.raises(SpaceError, match="other@0"):
        queries.query_from_message(query, SPACE)


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [math.nan, 1.0], [math.inf, 1.0]])
def test_an_exemplar_that_is_no_vector_is_refused(values: list[float]) -> None:
    query = queries.query_message(Query("it", exemplars=(exemplar(1.0, 0.0),)), HEADER)
    query.exemplars[0].data = values
    with pytest.raises(QueryError, match="it"):
        queries.query_from_message(query, SPACE)


def test_a_vector_that_is_not_unit_is_made_so() -> None:
    query = queries.query_message(Query("it", exemplars=(exemplar(1.0, 0.0),)), HEADER)
    query.exemplars[0].data = [30.0, 40.0]
    np.testing.assert_allclose(
        queries.query_from_message(query, SPACE).exemplars[0].vector, [0.6, 0.8], rtol=1e-6
    )


def test_a_message_with_an_empty_type_is_refused() -> None:
    with pytest.raises(feature_map.FeatureMapError, match="unknown"):
        feature_map.to_numpy(FeatureMap())
