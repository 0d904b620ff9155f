"""Sentences around a phrase, as a robot's camera might caption what it sees."""

from __future__ import annotations

import re

ROBOT_CAMERA = (
    "a photo of a {}.",
    "a photo of the {}.",
    "a picture of a {} in a room.",
    "a {} on a table.",
    "a {} on the floor.",
    "a {} seen from a robot.",
    "a blurry photo of a {}.",
    "a dark photo of a {}.",
    "a close view of a {}.",
    "a {} far away.",
    "part of a {}.",
    "a {}.",
)
PLAIN = ("{}",)
TEMPLATES: dict[str, tuple[str, ...]] = {"robot_camera": ROBOT_CAMERA, "plain": PLAIN}

_ARTICLE = re.compile(r"^(a|an|the)\s+", re.IGNORECASE)


def sentences(phrase: str, templates: tuple[str, ...]) -> list[str]:
    """The phrase in each template; its own article gives way to the template's."""
    bare = _ARTICLE.sub("", phrase)
    return [template.format(phrase if template == "{}" else bare) for template in templates]
