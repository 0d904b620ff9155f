"""The pictures that a browser gets, read by another library."""

from __future__ import annotations

import io

import numpy as np
import pytest

image_library = pytest.importorskip("PIL.Image")
pytest.importorskip("rclpy")

from sensor_msgs.msg import CompressedImage  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from perception_contrast.client.camera_image import camera_image  # noqa: E402
from perception_contrast.ros.messages.image_messages import image_message  # noqa: E402
from perception_contrast_studio.robot.layer_pictures import (  # noqa: E402
    IMAGE_WIDTH,
    browser_jpeg,
    encoded_jpeg,
    ids_png,
)

pytestmark = pytest.mark.ros
COLOURS = {1: (230, 159, 0), 7: (1, 2, 3), 40_000: (255, 255, 255)}


def _decoded(data: bytes) -> np.ndarray:
    return np.asarray(image_library.open(io.BytesIO(data)).convert("RGBA"))


def test_ids_become_their_colours_and_nothing_is_transparent() -> None:
    ids = np.full((31, 17), 65535, np.uint16)
    ids[:10], ids[10:12, 3:5], ids[30] = 1, 7, 40_000
    shown = _decoded(ids_png(ids, lambda number: COLOURS[number], 65535))
    for number, colour in COLOURS.items():
        assert (shown[ids == number] == (*colour, 255)).all()
    assert (shown[ids == 65535][:, 3] == 0).all()


def test_more_ids_than_a_palette_has_leave_the_rest_out() -> None:
    ids = np.arange(400, dtype=np.uint16).reshape(20, 20)
    shown = _decoded(ids_png(ids, lambda number: (number % 256, 0, 0), 65535))
    assert (shown[..., 3] == 255).sum() == 255


def test_masks_of_large_images_are_narrowed_without_mixing_ids() -> None:
    ids = np.full((960, 1280), 65535, np.uint16)
    ids[:, 640:] = 7
    shown = _decoded(ids_png(ids, lambda number: COLOURS[number], 65535))
    assert shown.shape == (480, 640, 4)
    assert set(map(tuple, shown.reshape(-1, 4))) == {(0, 0, 0, 0), (1, 2, 3, 255)}


def test_a_small_jpeg_passes_as_it_was_sent() -> None:
    sent = encoded_jpeg(np.full((48, 64, 3), 90, np.uint8))
    message = CompressedImage(format="rgb8; jpeg compressed bgr8", data=sent)
    assert browser_jpeg(camera_image(message)) == (sent, (48, 64))


@pytest.mark.parametrize("jpeg", [False, True])
def test_a_wide_image_is_narrowed_and_its_size_told(jpeg: bool) -> None:
    pixels = np.zeros((600, 1600, 3), np.uint8)
    pixels[:, 800:] = (200, 30, 40)
    message = (
        CompressedImage(format="jpeg", data=encoded_jpeg(pixels)) if jpeg else image_message(pixels, Header())
    )
    data, size = browser_jpeg(camera_image(message))
    shown = _decoded(data)
    assert size == (600, 1600) and shown.shape[:2] == (360, IMAGE_WIDTH)
    np.testing.assert_allclose(shown[180, 900, :3], (200, 30, 40), atol=4)
