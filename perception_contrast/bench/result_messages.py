"""A result as the messages that perception_node publishes. ROS is imported by ``message_builder`` only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from perception_contrast.pipeline.frame_result import FrameResult
from perception_contrast.pipeline.output_request import OutputRequest

BENCH_REQUEST = OutputRequest(features=True, masks=True, detections=True)
MessageBuilder = Callable[[FrameResult], "ResultMessages"]


@dataclass(frozen=True)
class ResultMessages:
    """One message a topic."""

    features: Any
    masks: Any
    detections: Any


def message_builder() -> MessageBuilder:
    """Raises ImportError where ROS or the interfaces of this package are not there."""
    from perception_contrast.ros.messages.detection_messages import detections_message
    from perception_contrast.ros.messages.feature_map import to_message
    from perception_contrast.ros.messages.image_messages import frame_header, image_message

    def build(result: FrameResult) -> ResultMessages:
        header = frame_header(result.frame)
        assert result.features is not None and result.masks is not None and result.detections is not None
        return ResultMessages(
            to_message(result.features, header),
            image_message(result.masks, header),
            detections_message(result.detections, header),
        )

    return build
