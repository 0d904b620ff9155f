"""Parameters of perception_node, set atomically as `ros2 param` and other nodes do."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter

from fuzzing.mutations import NUMBERS, TEXTS, interesting_float
from fuzzing.target import Mutation, Target
from fuzzing.targets.services import fuzzed_node
from fuzzing.trees import mutated_tree
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.ros.monitoring.statistics import Issues
from perception_contrast.ros.node.deadline import Deadline
from perception_contrast.ros.node.parameter_updates import ParameterUpdates
from perception_contrast.ros.parameters import node_parameters
from perception_contrast.ros.parameters.node_parameters import SPECS, NodeParameters


class RefusedParameters(Exception):
    """A result without success, whose reason says why; or a value that no parameter message can hold."""


class _Vocabularies:
    """As much of a pipeline as parameters change."""

    def __init__(self) -> None:
        self.vocabulary, self.settings = Vocabulary(), PipelineSettings()

    def set_queries(self, queries: Any, distractors: Any) -> Vocabulary:
        # Not on top of the last one: mask ids of all labels there ever were would pile up.
        self.vocabulary = Vocabulary().with_queries(queries, distractors)
        return self.vocabulary

    def configure(self, settings: PipelineSettings) -> None:
        self.settings = settings


class _Publisher:
    def publish(self, pipeline: Any, *, force: bool = False) -> None:
        return


class Parameters(Target):
    allowed = (RefusedParameters,)

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        self._node = fuzzed_node("fuzzed_parameters")
        self._parameters = NodeParameters(self._node)
        self._defaults = dict(self._parameters.values)
        self._pipeline = _Vocabularies()
        models = SimpleNamespace(pipeline=self._pipeline, switch=lambda: None)
        worker = SimpleNamespace(configure=lambda weights, intervals, batch: None)
        updates = ParameterUpdates(  # type: ignore[arg-type]
            models, {}, worker, _Publisher(), Issues(), Deadline({}), check_model_names=True
        )
        self._parameters.handle_changes(updates)
        self._callback = next(
            one.callback for one in self._node.services if one.srv_name.endswith("set_parameters_atomically")
        )

    @property
    def mutations(self) -> Sequence[Mutation]:
        return (_other_values, _other_values, _mutated_request)

    def begin(self) -> None:
        self._parameters.restore(self._defaults)

    def seeds(self) -> list[bytes]:
        values = [
            [one.name, list(one.default) if isinstance(one.default, tuple) else one.default] for one in SPECS
        ]
        lines = [["queries", ["mug", "seat: a sofa; a chair; !stool"]], ["distractors", ["wall"]]]
        return [
            json.dumps(one).encode()
            for one in ([values[-1]], values[::7], lines, [["vocabulary", "household"]])
        ]

    def run(self, data: bytes) -> None:
        messages = [_message(one) for one in _given(data)]
        before = dict(self._parameters.values)
        request = SetParametersAtomically.Request(parameters=messages)
        result = self._callback(request, SetParametersAtomically.Response()).result
        now = {one.name: self._node.get_parameter(one.name).value for one in SPECS}
        held = self._parameters.values
        assert all(_same(now[name], held[name]) for name in now), "the node's values are not those in force"
        if not result.successful:
            assert result.reason, "a refusal without a reason"
            assert held == before, "a refused request changed parameters"
            raise RefusedParameters(result.reason)
        node_parameters.pipeline_settings(held)
        node_parameters.max_rates(held)


def _same(one: Any, other: Any) -> bool:
    return list(one) == list(other) if not isinstance(one, str | int | float) else one == other


def _given(data: bytes) -> list[Any]:
    """The [name, value] pairs of an input: JSON."""
    try:
        given = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RefusedParameters("no JSON") from error
    return (
        [one for one in given if isinstance(one, list) and len(one) == 2] if isinstance(given, list) else []
    )


def _message(pair: list[Any]) -> ParameterMessage:
    """What rclpy sends for a name and a value. Raises RefusedParameters where it sends nothing."""
    name, value = pair
    if not isinstance(name, str):
        raise RefusedParameters("a name that is no text")
    try:
        return Parameter(name, value=value).to_parameter_msg()
    except (TypeError, ValueError, AssertionError, OverflowError, UnicodeError, AttributeError) as error:
        raise RefusedParameters(f"no parameter: {error}") from error


def _mutated_request(rng: Random, data: bytes) -> bytes:
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return data
    return json.dumps(mutated_tree(rng, tree, tree) if isinstance(tree, dict | list) else tree).encode()


def _other_values(rng: Random, data: bytes) -> bytes:
    """A request for up to four parameters, their values mostly of the declared kind."""
    chosen = rng.sample(SPECS, rng.randrange(1, 5))
    return json.dumps([[one.name, _value(rng, one.default, one)] for one in chosen]).encode()


def _value(rng: Random, default: Any, spec: Any) -> Any:
    if rng.random() < 0.15:
        return rng.choice((None, True, 1, 1.5, "a", [], ["a"], [1], [1.5], [True], [0, 1.5]))
    if isinstance(default, tuple):
        return [_value(rng, default[0], spec) for _ in range(rng.choice((0, 1, 1, 2, 5, 1100)))]
    if isinstance(default, bool):
        return rng.random() < 0.5
    if isinstance(default, str):
        text = rng.choice(TEXTS)
        line = rng.choice(("mug", "mug: a; b; !c", ": x", "household", text, f"{text}: {text}; !{text}"))
        return rng.choice(spec.choices) if spec.choices and rng.random() < 0.7 else line
    low, high = spec.minimum or 0, spec.maximum if spec.maximum is not None else 1000
    inside = low + rng.random() * (high - low)
    near = rng.choice((low, high, inside, low - 1, high + 1, math.nextafter(high, math.inf)))
    if isinstance(default, int):
        return rng.choice((int(near), rng.choice(NUMBERS)))
    return rng.choice((float(near), interesting_float(rng)))
