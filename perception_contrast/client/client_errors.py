"""Errors of PerceptionClient; each message says what to do."""

from __future__ import annotations

from perception_contrast.core.errors import PerceptionError


class ClientError(PerceptionError):
    """Base of the errors of this package."""


class NodeAbsentError(ClientError):
    """No perception_node has the target's name."""


class NodeNotActiveError(ClientError):
    """The node is there but not active: it loads its models, or waits for a lifecycle manager."""


class RefusedError(ClientError):
    """The node refused a request, which changed nothing; the message is the node's own."""


class NoAnswerError(ClientError, TimeoutError):
    """No response or message came in time."""


class ClosedError(ClientError):
    """The client is closed, or a blocking call was made where waiting would never end."""
