"""What can go wrong between a client and its perception_node; each says what to do about it."""

from __future__ import annotations

from perception_contrast.core.errors import PerceptionError


class ClientError(PerceptionError):
    """Base of the errors of this package."""


class NodeAbsentError(ClientError):
    """No perception_node offers its services under the name that was asked for."""


class NodeNotActiveError(ClientError):
    """The node is there but not active: it loads its models, or waits for a lifecycle manager."""


class RefusedError(ClientError):
    """The node refused a request, which changed nothing; the message is the node's own."""


class NoAnswerError(ClientError, TimeoutError):
    """Nothing came in time."""


class ClosedError(ClientError):
    """The client was closed, or asked to wait in a place where waiting could never end."""
