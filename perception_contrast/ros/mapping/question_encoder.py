"""Words to vectors by the perception_node whose results are mapped: the map itself loads no model."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from perception_contrast_msgs.srv import EmbedText
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.embedding_spaces import require_same_space
from perception_contrast.core.errors import PerceptionError, QueryError
from perception_contrast.segmentation.scoring.name_bank import generic_names

TIMEOUT = 10.0
# Seconds that a service may take to be discovered.
DISCOVERY = 2.0
_MAX_KEPT = 4096
_POLL = 0.02


class NoEncoderError(PerceptionError):
    """The perception_node that encodes words is not there, or does not answer."""


@dataclass(frozen=True)
class EncodedTexts:
    """Vectors of texts.

    Attributes:
        vectors: (n, c) float32 unit vectors.
        space: Identity of their space.
    """

    vectors: FloatArray
    space: str


class QuestionEncoder:
    """Asks ``<perception>/embed_text``, and remembers the answers while the space stays the same.

    Methods wait; they must not be called in the executor's only thread.

    Args:
        node: Owner of the service client.
        perception: Name of the perception_node.
    """

    def __init__(self, node: Node, perception: str) -> None:
        self._node = node
        self._group = MutuallyExclusiveCallbackGroup()
        self._client = node.create_client(EmbedText, f"{perception}/embed_text", callback_group=self._group)
        self._lock = threading.Lock()
        self._space = ""
        self._kept: OrderedDict[str, FloatArray] = OrderedDict()

    def encode(self, texts: Sequence[str], timeout: float = TIMEOUT, space: str = "") -> EncodedTexts:
        """The vectors of some texts.

        Args:
            texts: At least one, not empty.
            timeout: Seconds.
            space: The space that the vectors are needed in; "" for any.

        Raises:
            QueryError: A text is empty, or the node refused the texts.
            NoEncoderError: The node is not there, or did not answer in time.
            SpaceError: The node serves another model than the one of ``space``.
        """
        if not texts or not all(text.strip() for text in texts):
            raise QueryError("an empty text was asked for; give words")
        with self._lock:
            same = not space or space == self._space
            if same and all(text in self._kept for text in texts):
                return EncodedTexts(np.stack([self._kept[text] for text in texts]), self._space)
        found = self._ask(list(texts), timeout)
        if space:
            require_same_space(found.space, space, "words for the map")
        with self._lock:
            if found.space != self._space:
                self._kept.clear()
                self._space = found.space
            self._kept.update(zip(texts, found.vectors, strict=True))
            while len(self._kept) > _MAX_KEPT:
                self._kept.popitem(last=False)
        return found

    def name_bank(self, timeout: float, space: str) -> FloatArray:
        """(k, c) float32 unit vectors of generic names, as ``encode`` gives them. Raises as ``encode``."""
        return self.encode(generic_names(), timeout, space).vectors

    def _ask(self, texts: list[str], timeout: float) -> EncodedTexts:
        end = time.monotonic() + timeout
        while not self._client.service_is_ready():
            if time.monotonic() > end - timeout + DISCOVERY:
                raise NoEncoderError(
                    f"nobody offers {self._client.srv_name} after {DISCOVERY:g} s; start the "
                    "perception_node, or give its name as parameter `perception`"
                )
            time.sleep(_POLL)
        answered = threading.Event()
        future = self._client.call_async(EmbedText.Request(texts=texts))
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(max(end - time.monotonic(), 0.0)):
            self._client.remove_pending_request(future)
            raise NoEncoderError(
                f"{self._client.srv_name} did not answer within {timeout:g} s; is its node still alive?"
            )
        response = future.result()
        if response is None or not response.success:
            reason = "no response" if response is None else response.message
            raise QueryError(f"{self._client.srv_name}: {reason}")
        vectors = np.stack([np.asarray(one.data, np.float32) for one in response.embeddings])
        return EncodedTexts(vectors, response.embeddings[0].space)
