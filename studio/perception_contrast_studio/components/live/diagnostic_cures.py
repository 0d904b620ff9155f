"""What to do about each message of the node's diagnostics, in a sentence."""

from __future__ import annotations

import re

# Patterns of messages with their remedies; docs/diagnostics.md says more.
_CURES: tuple[tuple[str, str], ...] = (
    (
        r"^models: ",
        "Remove the cause that is named, then `ros2 lifecycle set /perception_node configure`; or choose "
        "another model under Parameters.",
    ),
    (
        r"one batch has been computed for",
        "The processor is overloaded or hangs; restart the node if this stays.",
    ),
    (
        r"a frame could not be processed",
        "If it repeats, try engine: torch; on 'out of memory' a smaller short_side.",
    ),
    (r"configuring: ", "Models load; wait."),
    (
        r": frames are not processed",
        "`ros2 lifecycle set /perception_node configure`, then `activate`; or start it with autostart: true.",
    ),
    (r"malformed input: camera_info", "Calibrate the camera, or correct camera_info in its driver."),
    (r"malformed input", "The camera's driver sends damaged or unknown images; check its encoding."),
    (
        r"cannot be received",
        "Quality of service or type differ: leave `reliability` at auto, and set image_transport to what the "
        "camera sends.",
    ),
    (
        r"no publisher on",
        "Remap `image` to a topic that exists (`ros2 topic list`), or start the camera with the same "
        "ROS_DOMAIN_ID.",
    ),
    (
        r"has a publisher but nothing arrives",
        "The camera sends nothing, or large images are lost on the way.",
    ),
    (r"^no image on", "The camera stopped; start it again."),
    (r"frames/s; .* are expected", "The camera or the link is too slow; or correct expected_rates."),
    (
        r"matching stamp",
        "Depth or calibration is late: raise sync_slop or sync_patience, or correct remappings.",
    ),
    (r"have no stamp", "The driver must set header.stamp."),
    (
        r"stamps on .* are in the future",
        "Synchronise the computers' clocks (chrony, ptp), or set use_sim_time: true.",
    ),
    (r"target_rate of", "Lower target_rate, short_side or the number of cameras, or free the processor."),
    (
        r"unfamiliar images",
        "Answers may be wrong: show an example in the image, or take another language_model.",
    ),
    (r"no detections_3d", "Set use_depth: true at start and remap depth and camera_info."),
    (
        r"is not offered",
        "The subscriber must ask for less, or override the node's profile with qos_overrides.",
    ),
    (r"parameter outputs leaves it out", "Add it to the parameter `outputs`, or hide that layer."),
    (
        r"an engine was given up",
        "It is tried again when the models are loaded anew; nothing needs to be done.",
    ),
    (r"^vocabulary: ", "Correct what the message names and set the queries again."),
    (r"texts cannot be encoded", "Remove the cause in brackets, then set the queries again."),
    (r"was trained to call", "Show an example, use another word, or take another language_model."),
    (r"the vocabulary is not stored", "Check the room on the disk and its permissions."),
    (r"a change of parameters was refused", "Choose a value within the range under Parameters."),
    (r"^loading .* while the previous models stay", "Wait; the former models serve meanwhile."),
    (r"^idle: no output has a subscriber", "Nothing is wrong: nobody looks. Show a layer and it works."),
)


def cure(message: str) -> str:
    """What to do about a message; "" where nothing need be done."""
    return next((text for pattern, text in _CURES if re.search(pattern, message)), "")
