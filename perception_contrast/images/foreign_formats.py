"""What files are that have the suffix of an image and are none that is read, told by their first bytes."""

from __future__ import annotations

_CONVERT = "which is not read; convert it to PNG or JPEG"
_BEGINNINGS = (
    (b"GIF8", f"a GIF, {_CONVERT}"),
    (b"\0\0\0\x0cjP  ", f"a JPEG 2000, {_CONVERT}"),
    (b"\xff\x4f\xff\x51", f"a JPEG 2000, {_CONVERT}"),
    (b"\xff\x0a", f"a JPEG XL, {_CONVERT}"),
    (b"\0\0\0\x0cJXL ", f"a JPEG XL, {_CONVERT}"),
    (b"II+\0", f"a BigTIFF, {_CONVERT}"),
    (b"MM\0+", f"a BigTIFF, {_CONVERT}"),
    (b"\0\0\x01\0", f"an icon, {_CONVERT}"),
    (b"8BPS", f"a Photoshop file, {_CONVERT}"),
    (b"%PDF", f"a PDF, {_CONVERT}"),
    (b"version https://git-lfs.", "a pointer of Git LFS, not the image; run `git lfs pull`"),
)
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_WEB_PAGES = (b"<!doctype html", b"<html")


def foreign_format(data: bytes) -> str:
    """What the bytes of a file are, with the remedy; "" where that is unknown.

    Phones and web servers give HEIC, AVIF and GIF the suffix .jpg, and a failed download leaves a web page.
    """
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        kind = "a HEIC" if brand in _HEIF_BRANDS else "an AVIF" if brand in (b"avif", b"avis") else "a video"
        return f"{kind}, {_CONVERT}"
    if data[:64].lstrip().lower().startswith(_WEB_PAGES):
        return "a web page, not an image; download it again"
    if data[:1] == b"P" and data[1:2] in b"123456" and data[2:3] in (b" ", b"\n", b"\r", b"\t"):
        return f"a Netpbm image, {_CONVERT}"
    return next((said for beginning, said in _BEGINNINGS if data.startswith(beginning)), "")
