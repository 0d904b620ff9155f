"""Requests for a node's parameters: without waiting, and with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    ListParameters,
    SetParametersAtomically,
)

from perception_contrast.client.client_errors import RefusedError
from perception_contrast.client.futures import ClientFuture, chain_future, map_future
from perception_contrast.client.parameter_values import (
    ParameterInfo,
    Value,
    parameter_info,
    parameter_messages,
    plain_value,
)
from perception_contrast.client.streams import Stream
from perception_contrast.client.target import Target
from perception_contrast.client.topic_subscription import TopicSubscription

Call = Callable[..., ClientFuture[Any]]
# Fixed at start, and as many as there are topics.
_LEFT_OUT = "qos_overrides."


class ParameterRequests:
    """The methods of NodeParameters, which documents them; each returns a ``ClientFuture`` at once.

    Args:
        call: Calls a service: type, full name, request, seconds, what gives the reason of a refusal.
        target: The node.
    """

    def __init__(self, call: Call, target: Target) -> None:
        self._call, self._target = call, target

    def describe(
        self, names: Sequence[str] = (), timeout: float | None = None
    ) -> ClientFuture[tuple[ParameterInfo, ...]]:
        if names:
            return self._describe(list(names), timeout)
        listed = self._request(ListParameters, "list_parameters", timeout)
        return chain_future(listed, lambda one: self._describe(_own_names(one.result.names), timeout))

    def get(self, names: Sequence[str], timeout: float | None = None) -> ClientFuture[dict[str, Value]]:
        given = list(names)
        return map_future(
            self._present(given, timeout),
            lambda present: {name: plain_value(one) for name, one in zip(given, present, strict=True)},
        )

    def set(self, values: Mapping[str, Value], timeout: float | None = None) -> ClientFuture[None]:
        given = dict(values)
        present = self._present(list(given), timeout)

        def send(values_in_force: list[Any]) -> ClientFuture[None]:
            messages = parameter_messages(given, values_in_force)
            response = self._request(
                SetParametersAtomically, "set_parameters_atomically", timeout, _refusal, parameters=messages
            )
            return map_future(response, lambda _: None)

        return chain_future(present, send)

    def _describe(self, names: list[str], timeout: float | None) -> ClientFuture[tuple[ParameterInfo, ...]]:
        present = self._present(names, timeout)

        def describe(values: list[Any]) -> ClientFuture[tuple[ParameterInfo, ...]]:
            response = self._request(DescribeParameters, "describe_parameters", timeout, names=names)
            return map_future(
                response,
                lambda one: tuple(
                    parameter_info(descriptor, value)
                    for descriptor, value in zip(one.descriptors, values, strict=True)
                ),
            )

        return chain_future(present, describe)

    def _present(self, names: list[str], timeout: float | None) -> ClientFuture[list[Any]]:
        """The ParameterValues in force. RefusedError where the node has not all of the parameters."""

        def checked(response: Any) -> list[Any]:
            # Without one of them the node leaves all values out.
            if len(response.values) != len(names):
                raise RefusedError(
                    f"{self._target.node} has not all of the parameters {', '.join(names)}; "
                    "`describe()` lists those that it has"
                )
            return list(response.values)

        return map_future(self._request(GetParameters, "get_parameters", timeout, names=names), checked)

    def _request(
        self,
        kind: Any,
        service: str,
        timeout: float | None,
        refusal: Callable[[Any], str] = lambda _: "",
        **fields: Any,
    ) -> ClientFuture[Any]:
        return self._call(kind, self._target.service(service), kind.Request(**fields), timeout, refusal)


class NodeParameters:
    """The parameters of one node, with waiting; ``client.start.parameters`` has the same without.

    Args:
        start: The requests.
        changes: Gives dictionaries of changed parameters.
        stream: Makes a stream of a subscription and a timeout in seconds.
    """

    def __init__(
        self,
        start: ParameterRequests,
        changes: TopicSubscription,
        stream: Callable[[TopicSubscription, float | None], Stream[Any]],
    ) -> None:
        self._start, self._changes, self._stream = start, changes, stream

    def describe(self, names: Sequence[str] = (), timeout: float | None = None) -> tuple[ParameterInfo, ...]:
        """Asks for parameters with their values, types and limits.

        Args:
            names: Names, in this order; none for all except the overrides of QoS profiles.
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            One description for each parameter.

        Raises:
            RefusedError: The node lacks one of them.
        """
        return self._start.describe(names, timeout).result()

    def get(self, names: Sequence[str], timeout: float | None = None) -> dict[str, Value]:
        """Asks for values of parameters.

        Args:
            names: Names of parameters.
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            Name to value.

        Raises:
            RefusedError: The node lacks one of them.
        """
        return self._start.get(names, timeout).result()

    def set(self, values: Mapping[str, Value], timeout: float | None = None) -> None:
        """Sets all of the parameters or none.

        Args:
            values: Name to value; an integer may stand for a float.
            timeout: Seconds to wait; None takes the default of the client.

        Raises:
            RefusedError: The node refused the values, with its reason, or lacks one of the parameters.
            ParameterValueError: A value is not of its parameter's type.
        """
        self._start.set(values, timeout).result()

    def changes(self, timeout: float | None = None) -> Stream[dict[str, Value]]:
        """Iterates over changes from now on, by whomever: name to new value.

        Args:
            timeout: Seconds without a message after which the iterator raises; None for no limit.

        Returns:
            The iterator.
        """
        return self._stream(self._changes, timeout)

    def on_change(self, callback: Callable[[dict[str, Value]], Any]) -> Callable[[], None]:
        """Calls a function at each change of parameters.

        Args:
            callback: Takes name to new value; runs in the client's thread.

        Returns:
            A function that ends this.
        """
        self._changes.add_listener(callback, lambda: None)
        return lambda: self._changes.remove_listener(callback)


def _own_names(names: Sequence[str]) -> list[str]:
    return sorted(one for one in names if not one.startswith(_LEFT_OUT))


def _refusal(response: Any) -> str:
    return "" if response.result.successful else str(response.result.reason) or "no reason given"
