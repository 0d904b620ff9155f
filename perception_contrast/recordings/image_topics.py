"""What the topics of a recording hold: colour images, depth, or nothing that can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from perception_contrast.core.errors import FrameError
from perception_contrast.images.decode import decode_depth_message, decode_message
from perception_contrast.recordings.bag_messages import BagMessage

COLOR, DEPTH = "color", "depth"
_GREY_OR_DEPTH = ("mono16",)


def kind_of_images(messages: Iterable[BagMessage], fields_of: Callable[[BagMessage], Any], name: str) -> str:
    """What an image topic holds.

    Args:
        messages: Those of its messages that are tried until one can be read.
        fields_of: Reads the fields of a message; raises FrameError for one that is malformed.
        name: Of the topic. 16-bit grey images count as depth where it says "depth".

    Returns:
        "color", "depth", or the reason why none of the messages can be read.
    """
    reason = "no messages"
    for message in messages:
        try:
            fields = fields_of(message)
            if "depth" in name.lower() and is_grey16(fields) and not _depth_fault(fields):
                return DEPTH
            decode_message(fields)
        except FrameError as error:
            reason = str(error)
            if error.reason == "not_color":
                reason = _depth_fault(fields)
                if not reason:
                    return DEPTH
            continue
        return COLOR
    return reason


def holds_depth(messages: Iterable[BagMessage], fields_of: Callable[[BagMessage], Any]) -> bool:
    """Whether one of a topic's messages can be read as depth, which 16-bit grey images can."""
    for message in messages:
        try:
            decode_depth_message(fields_of(message))
        except FrameError as error:
            if error.reason == "not_depth":
                return False
            continue
        return True
    return False


def _depth_fault(fields: Any) -> str:
    """Why an image message cannot be read as depth; "" where it can."""
    try:
        decode_depth_message(fields)
    except FrameError as error:
        return str(error)
    return ""


def is_grey16(fields: Any) -> bool:
    """Whether an image message is 16-bit grey by its encoding, which is also how some drivers send depth."""
    named = str(getattr(fields, "encoding", "") or getattr(fields, "format", ""))
    return named.partition(";")[0].strip().lower() in _GREY_OR_DEPTH
