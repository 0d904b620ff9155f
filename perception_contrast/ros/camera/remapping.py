"""Whether a topic's name has been remapped, also to itself."""

from __future__ import annotations

import itertools
import re
import sys

from rclpy.node import Node

_FLAGS = ("-r", "--remap")


def is_remapped(node: Node, name: str) -> bool:
    """Whether a rule remaps a topic of a node.

    ``camera_info:=/camera_info`` changes nothing for a node without a namespace, so that ROS answers as if
    there were no such rule. Only the command line tells that it was given.

    Args:
        node: The node.
        name: As the node calls the topic, without a slash in front.

    Returns:
        Whether there is a rule for it.
    """
    expanded = node.resolve_topic_name(name, only_expand=True)
    if node.resolve_topic_name(name) != expanded:
        return True
    names = "|".join(re.escape(one) for one in (name, expanded))
    rule = re.compile(rf"(?:{re.escape(node.get_name())}:)?(?:rostopic://)?(?:{names}):=")
    return any(flag in _FLAGS and rule.match(given) for flag, given in itertools.pairwise(sys.argv))
