"""Parameters that every node with cameras and a lifecycle has."""

from __future__ import annotations

from perception_contrast.ros.parameters.parameter_spec import ParameterSpec

IMAGE_TRANSPORT = ParameterSpec(
    "image_transport",
    "raw",
    "raw subscribes to `image`; compressed to `image/compressed` (JPEG, PNG).",
    choices=("raw", "compressed"),
    change="never",
)
RELIABILITY = ParameterSpec(
    "reliability",
    "auto",
    "QoS reliability of camera subscriptions; auto is reliable where every publisher offers it.",
    choices=("auto", "reliable", "best_effort"),
    change="never",
)
AUTOSTART = ParameterSpec("autostart", True, "Configure and activate at start.", change="never")
BOND_HEARTBEAT_PERIOD = ParameterSpec(
    "bond_heartbeat_period",
    0.1,
    "Seconds between heartbeats to nav2's lifecycle manager while active; 0 for no bond.",
    0.0,
    10.0,
    change="never",
)
