"""Prompt templates: sentences around a phrase, as one might caption what a robot's camera sees.

An ensemble of such sentences, unit vectors averaged, stands for a thing better than any one of them
(Radford et al., CLIP, 2021, section 3.1.4). Ours vary what varies for a robot: viewpoint, distance,
light, blur, how much of the thing is seen, and where it stands.
"""

from __future__ import annotations

import re

from perception_contrast.core.errors import ModelError
from perception_contrast.text.articles import with_a, with_the, without_article

PHRASE, A, THE = "{}", "{a}", "{the}"
_PLACE = re.compile(r"\{(?:a|the)?\}")

ROBOT_CAMERA = (
    # Plainly.
    "{a}.",
    "a photo of {a}.",
    "a photo of {the}.",
    "a picture that shows {a}.",
    "a camera frame with {a} in it.",
    "{a} in the view of a camera.",
    # Viewpoint.
    "{a} seen from a robot.",
    "{a} seen from above.",
    "{a} seen from low down, near the floor.",
    "{a} seen from the side.",
    "the back of {a}.",
    "{a} straight ahead of the camera.",
    # Distance and size.
    "{a} close to the camera.",
    "a close-up of {a}.",
    "{a} on the far side of a room.",
    "{a} in the distance.",
    "{a}, tiny in a wide view.",
    "{a} filling the whole picture.",
    # Light.
    "{a} in bright daylight.",
    "{a} under a ceiling lamp.",
    "{a} in a dim room.",
    "a dark photo of {the}.",
    "an overexposed photo of {the}.",
    "{a} against the light.",
    # What the camera adds.
    "a blurred photo of {a}.",
    "{a} smeared by the motion of the camera.",
    "a grainy, low-resolution photo of {a}.",
    "a wide-angle photo of {a}.",
    # Partial views.
    "{a} half hidden behind something.",
    "{a} cut off at the edge of the picture.",
    "part of {a}.",
    "{a} among many other things.",
    # Places.
    "{a} on a table.",
    "{a} on a shelf.",
    "{a} on the floor.",
    "{a} in a kitchen.",
    "{a} in a living room.",
    "{a} in a workshop.",
    "{a} in a warehouse.",
    "{a} outdoors.",
    "{a} at the side of a road.",
    "{a} in a robot's gripper.",
)
PLAIN = (PHRASE,)
TEMPLATES: dict[str, tuple[str, ...]] = {"robot_camera": ROBOT_CAMERA, "plain": PLAIN}


def checked_templates(templates: tuple[str, ...]) -> tuple[str, ...]:
    """The templates. Raises ModelError where there is none, or one without a place for the phrase."""
    for template in templates:
        if not _PLACE.search(template):
            raise ModelError(
                f"text templates must each hold {{}}, {{a}} or {{the}}: '{template[:60]}' does not"
            )
    if not templates:
        raise ModelError("text templates are empty; give at least one, for example 'a photo of {a}.'")
    return templates


def prompts(phrase: str, templates: tuple[str, ...]) -> list[str]:
    """Fills a phrase into each template.

    {a} becomes the phrase with the article that it takes, {the} with "the", {} without its own article.
    The template "{}" takes the phrase as it is.
    """
    # Replaced in one pass, not formatted: a phrase or template that comes in a message is text, no more.
    forms = {A: with_a(phrase), THE: with_the(phrase), PHRASE: without_article(phrase)}
    return [
        phrase if template == PHRASE else _PLACE.sub(lambda place: forms[place.group()], template)
        for template in templates
    ]
