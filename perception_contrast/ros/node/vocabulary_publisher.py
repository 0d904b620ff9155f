"""The latched topics ``~/label_info`` and ``~/vision_info``, and the stored vocabulary behind them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo, VisionInfo

from perception_contrast.ros.messages.detection_messages import label_info_message, vision_info_message
from perception_contrast.ros.parameters.node_parameters import NodeParameters, vocabulary_parameters
from perception_contrast.ros.qos import latched_qos, qos_overrides
from perception_contrast.vocabulary.vocabulary_store import VocabularyStore

if TYPE_CHECKING:
    from perception_contrast.pipeline.pipeline import Pipeline


class VocabularyPublisher:
    """Publishes which label has which id and which models made the results, and stores the vocabulary.

    Any thread may call.
    """

    def __init__(self, node: LifecycleNode, parameters: NodeParameters, store: VocabularyStore) -> None:
        self._node, self._parameters, self._store = node, parameters, store
        self._label_info, self._vision_info = (
            node.create_lifecycle_publisher(
                kind, f"~/{topic}", latched_qos(), qos_overriding_options=qos_overrides()
            )
            for kind, topic in ((LabelInfo, "label_info"), (VisionInfo, "vision_info"))
        )
        self._lock = threading.Lock()
        self._published: tuple[int, float] | None = None  # version and threshold

    def publish(self, pipeline: Pipeline | None, *, force: bool = False) -> None:
        """Publishes and stores the vocabulary of a pipeline if it is new.

        Args:
            pipeline: Nothing happens for None.
            force: Publish an unchanged vocabulary too, because thresholds or models may be other ones, or
                because nobody could receive it so far.
        """
        if pipeline is not None and self._publish(pipeline, force):
            self._store.save(pipeline.vocabulary, vocabulary_parameters(self._parameters.values))

    def _publish(self, pipeline: Pipeline, force: bool) -> bool:
        with self._lock:
            # Read under the lock: of two changes at once, the newer one must be what stays latched.
            vocabulary = pipeline.vocabulary
            # A pipeline that calibrates itself changes its threshold between two frames.
            threshold = pipeline.frame_search.detection_threshold(pipeline.settings, vocabulary)
            if self._published == (vocabulary.version, threshold) and not force:
                return False
            self._published = (vocabulary.version, threshold)
            header = Header(stamp=self._node.get_clock().now().to_msg())
            self._label_info.publish(label_info_message(vocabulary, header, threshold))
            model, space = pipeline.models["semantic"]
            self._vision_info.publish(vision_info_message(model, space, vocabulary.version, header))
            return True
