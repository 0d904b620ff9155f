"""Which files are images, the formats that are read, and what errors about files say."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from perception_contrast.core.errors import FrameError
from perception_contrast.images.file_listing import is_image_name, list_images
from perception_contrast.images.files import load_image, save_image
from perception_contrast.images.orientation import exif_orientation, orientation_note

PIXELS = np.zeros((8, 12, 3), np.uint8)
PIXELS[:4, :6] = (250, 10, 60)


def test_one_rule_for_all(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", ".hidden.png", "._a.jpg", "sub/c.png", "__MACOSX/d.png", ".git/e.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        save_image(path.with_suffix(path.suffix.lower()), PIXELS)
        path.with_suffix(path.suffix.lower()).rename(path)
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing")
    (tmp_path / "there.png").symlink_to(tmp_path / "a.jpg")
    os.mkfifo(tmp_path / "pipe.png")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")).write_bytes(b"x")
    listing = list_images(tmp_path)
    assert [file.name for file in listing.files] == ["a.jpg", "b.PNG", "there.png"]
    assert {name: reason.split(";")[0] for name, reason in listing.left_out.items()} == {
        "gone.png": "it is a link to a file that does not exist",
        "pipe.png": "it is no regular file",
        "caf\N{REPLACEMENT CHARACTER}.png": "its name is not UTF-8",
    }
    inside = list_images(tmp_path, recursive=True)
    assert [file.relative_to(tmp_path).as_posix() for file in inside.files] == [
        "a.jpg",
        "b.PNG",
        "sub/c.png",
        "there.png",
    ]
    assert is_image_name("x/y.tiff") and not is_image_name("x/.y/z.png") and not is_image_name("a.gif")


def test_formats_that_are_not_read_are_named(tmp_path: Path) -> None:
    stored = Image.fromarray(PIXELS)
    for kind, said in (
        ("GIF", "is a GIF"),
        ("PPM", "is a Netpbm image"),
        ("PDF", "is a PDF"),
        ("ICO", "is an icon"),
        ("JPEG2000", "is a JPEG 2000"),
    ):
        stored.save(tmp_path / "a.jpg", format=kind)
        with pytest.raises(FrameError, match=f"a.jpg.*{said}.*convert it"):
            load_image(tmp_path / "a.jpg")
    stored.save(tmp_path / "big.tif", big_tiff=True)
    # What a phone, a web server and a repository put in the place of an image.
    for data, said in (
        (b"\0\0\0\x18ftypheic\0\0\0\0", "is a HEIC"),
        (b"\n<!DOCTYPE HTML><html>404</html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "run `git lfs pull`"),
        ((tmp_path / "big.tif").read_bytes(), "is a BigTIFF"),
        (b"nothing known", "damaged or is no image"),
    ):
        (tmp_path / "a.jpg").write_bytes(data)
        with pytest.raises(FrameError, match=said):
            load_image(tmp_path / "a.jpg")
    (tmp_path / "IMG_1.HEIC").write_bytes(b"x")
    (tmp_path / "._IMG_1.HEIC").write_bytes(b"x")
    left_out = list_images(tmp_path).left_out
    assert list(left_out) == ["IMG_1.HEIC"] and "convert it" in left_out["IMG_1.HEIC"]


@pytest.mark.parametrize("kind", ["webp", "bmp", "tif", "tiff", "png"])
def test_formats_that_are_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    stored = Image.fromarray(PIXELS)
    stored.save(path, lossless=True) if kind == "webp" else stored.save(path)
    np.testing.assert_array_equal(load_image(path), PIXELS)
    # The bytes tell, not the suffix.
    np.testing.assert_array_equal(load_image(path.rename(tmp_path / "b.jpg")), PIXELS)


def test_tiff_of_16_bits_is_scaled_and_one_of_floats_refused(tmp_path: Path) -> None:
    deep = np.full((4, 5, 3), 257 * 90, np.uint16)
    cv2.imwrite(str(tmp_path / "deep.tiff"), deep)
    assert (load_image(tmp_path / "deep.tiff") == 90).all()
    cv2.imwrite(str(tmp_path / "float.tiff"), deep[..., 0].astype(np.float32))
    with pytest.raises(FrameError, match="32-bit samples"):
        load_image(tmp_path / "float.tiff")


@pytest.mark.parametrize("kind", ["webp", "tiff", "jpg", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_nowhere_and_named(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{kind}"
    options = {"lossless": True} if kind == "webp" else {"quality": 95, "subsampling": 0}
    Image.fromarray(PIXELS).save(path, exif=exif, **(options if kind in ("webp", "jpg") else {}))
    assert np.abs(load_image(path).astype(int) - PIXELS).mean() < 12
    assert exif_orientation(path) == orientation
    note = orientation_note(path)
    assert note == "" if orientation == 1 else f"EXIF orientation {orientation}" in note


def test_the_first_frame_of_an_animation_is_the_image(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((8, 12, 3), level, np.uint8)) for level in (10, 90, 200)]
    for name in ("a.png", "a.webp"):
        lossless = {"lossless": True} if name.endswith("webp") else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **lossless)
        assert (load_image(tmp_path / name) == 10).all()


@pytest.mark.parametrize(
    ("reason", "data"),
    [
        ("empty_data", b""),
        ("bad_compressed", b"hello"),
        ("bad_compressed", b"BM" + bytes(60)),
        ("bad_compressed", b"II*\0" + bytes(30)),
        ("bad_compressed", b"RIFF\x10\0\0\0WEBPVP8 " + bytes(20)),
        ("truncated", b"\xff\xd8\xff\xe0 cut"),
    ],
)
def test_errors_speak_of_the_file(tmp_path: Path, reason: str, data: bytes) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    with pytest.raises(FrameError, match=r"image '.*bad\.png': ") as caught:
        load_image(path)
    assert caught.value.reason == reason
    assert not any(word in str(caught.value) for word in ("camera", "message", "publisher", "transport"))
    with pytest.raises(FrameError, match=r"none\.png.* cannot be read") as caught:
        load_image(tmp_path / "none.png")
    assert caught.value.reason == "unreadable_file"
