"""What a JPEG or PNG says about itself, read without decoding it.

Decoders differ in what they do with a damaged image: some give grey where data is missing. So the
structure is walked here first: sizes, and that every part up to the end marker is there.
JPEG: ITU-T T.81 annex B. PNG: W3C PNG, third edition, section 5.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from perception_contrast.core.errors import FrameError

JPEG_MAGIC = b"\xff\xd8\xff"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"

# Marker that ends entropy-coded data: neither a stuffed zero, fill, nor a restart marker.
_SCAN_END = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD8)))
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

# Deflate cannot shrink more; a blank 8 x 8 JPEG block takes a bit at the very least.
_DEFLATE_RATIO = 1032
_JPEG_PIXELS_PER_BYTE = 512


@dataclass(frozen=True)
class ImageHeader:
    """kind: "jpeg" or "png". channels: as stored (a palette counts as 1). bits: per channel.

    end: where a JPEG's end marker begins. animated: a PNG with more frames behind its image.
    """

    kind: str
    height: int
    width: int
    channels: int
    bits: int
    end: int = 0
    animated: bool = False

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width


def read_header(data: memoryview, max_pixels: int) -> ImageHeader:
    """The header of a complete JPEG or PNG of at most ``max_pixels``; raises FrameError otherwise."""
    if data[:3] == JPEG_MAGIC:
        return _jpeg_header(data, max_pixels)
    if data[:8] == PNG_MAGIC:
        return _png_header(data, max_pixels)
    raise FrameError("bad_compressed", f"the {len(data)} bytes begin like neither a JPEG nor a PNG")


def _check_claim(header: ImageHeader, max_pixels: int, needed: float, have: int) -> ImageHeader:
    name = f"a {header.kind.upper()} of {header.width}x{header.height}"
    if header.height == 0 or header.width == 0:
        raise FrameError("zero_size", f"{name} has no pixels; check its publisher")
    if header.height * header.width > max_pixels:
        raise FrameError(
            "too_large",
            f"{name} is over the limit of {max_pixels / 1e6:g} megapixels; publish smaller images",
        )
    if have < needed:
        raise FrameError("truncated", f"{name} cannot fit in {have} bytes; data was lost or the header lies")
    return header


def _truncated(kind: str, where: str) -> FrameError:
    return FrameError(
        "truncated", f"the {kind} ends in {where}; data was lost between the camera and this message"
    )


def _jpeg_header(data: memoryview, max_pixels: int) -> ImageHeader:
    header, position = None, 0
    for marker, position, end in _jpeg_segments(data):
        if marker in _FRAME_HEADERS and header is None:
            if end - position < 6:
                raise FrameError("bad_compressed", "the JPEG's frame header is too short")
            bits, height, width, channels = struct.unpack_from(">BHHB", data, position)
            header = ImageHeader("jpeg", height, width, channels, bits)
            _check_claim(header, max_pixels, height * width / _JPEG_PIXELS_PER_BYTE, len(data))
    if header is None:
        raise FrameError("bad_compressed", "the JPEG has no frame header")
    return replace(header, end=position)


def _jpeg_segments(data: memoryview) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end of its payload) up to and with the end-of-image marker, which must be there."""
    position = 2
    while True:
        # Bytes that belong to no segment are passed over, as libjpeg's next_marker does.
        found = _MARKER.search(data, position)
        if found is None:
            raise _truncated("JPEG", "its headers")
        position = found.end() - 2
        marker = data[position + 1]
        if marker in _WITHOUT_LENGTH:
            position += 2
            continue
        if marker == 0xD9:
            yield marker, position, position
            return
        if position + 4 > len(data):
            raise _truncated("JPEG", "its headers")
        start = position + 4
        end = position + 2 + int(struct.unpack_from(">H", data, position + 2)[0])
        if end < start:
            raise FrameError("bad_compressed", f"the JPEG's segment at byte {position} has no valid length")
        if end > len(data):
            raise _truncated("JPEG", "its headers")
        yield marker, start, end
        position = _scan_end(data, end) if marker == 0xDA else end


def _scan_end(data: memoryview, start: int) -> int:
    """Position of the marker behind the entropy-coded data that begins at ``start``."""
    found = _SCAN_END.search(data, start)
    if found is None:
        raise _truncated("JPEG", "its image data")
    restarts = [mark[0] - 0xD0 for mark in _RESTART.findall(data, start, found.start())]
    if restarts != [index % 8 for index in range(len(restarts))]:
        raise FrameError("truncated", "the JPEG's restart markers have gaps; data was lost at the camera")
    return found.start()


def _png_header(data: memoryview, max_pixels: int) -> ImageHeader:
    header, packed, animated = None, 0, False
    for name, start, end in _png_chunks(data):
        if header is None:
            if name != b"IHDR" or end - start != 13:
                raise FrameError("bad_compressed", "the PNG does not begin with a header chunk")
            width, height, bits, kind = struct.unpack_from(">IIBB", data, start)
            if kind not in _PNG_CHANNELS:
                raise FrameError("bad_compressed", f"the PNG has colour type {kind}, which does not exist")
            header = ImageHeader("png", height, width, _PNG_CHANNELS[kind], bits)
            _check_claim(header, max_pixels, 0, len(data))
        elif name == b"IDAT":
            packed += end - start
        animated = animated or name == _ANIMATION[0]
    if header is None:
        raise FrameError("bad_compressed", "the PNG does not begin with a header chunk")
    unpacked = header.height * header.width * header.channels * header.bits / 8
    return _check_claim(replace(header, animated=animated), max_pixels, unpacked / _DEFLATE_RATIO, packed)


def still_png(data: memoryview) -> bytes:
    """An animated PNG without its animation: its first image, which is all that other decoders show."""
    kept = [bytes(data[:8])]
    kept += [
        bytes(data[start - 8 : end + 4]) for name, start, end in _png_chunks(data) if name not in _ANIMATION
    ]
    return b"".join(kept) + _PNG_END


def _png_chunks(data: memoryview) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, end of its payload) up to the end chunk, which must be there; checksums verified."""
    position = 8
    while True:
        if position + 12 > len(data):
            raise _truncated("PNG", "the middle, before its end chunk")
        length, name = struct.unpack_from(">I4s", data, position)
        start, end = position + 8, position + 8 + length
        if end + 4 > len(data):
            raise _truncated("PNG", "the middle of a chunk")
        if zlib.crc32(data[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise FrameError("bad_compressed", f"a chunk of the PNG at byte {position} fails its checksum")
        if name == b"IEND":
            return
        yield name, start, end
        position = end + 4
