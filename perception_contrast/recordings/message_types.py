"""Message types for rosbags where no ROS is installed: the common interfaces, vision_msgs and ours."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

_DEFINITIONS = "data/message_definitions.json"


def message_definitions() -> dict[str, str]:
    """Type, such as "vision_msgs/msg/Detection2DArray", to its definition as in interfaces/."""
    text = files("perception_contrast.recordings").joinpath(_DEFINITIONS).read_text("utf-8")
    return {str(name): str(definition) for name, definition in json.loads(text).items()}


@cache
def message_types() -> Any:
    """A type store of rosbags; its types are the same in ROS 2 Humble and Jazzy. Not to be changed."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    added: dict[str, Any] = {}
    for name, definition in message_definitions().items():
        added.update(get_types_from_msg(definition, name))
    store.register(added)
    return store
