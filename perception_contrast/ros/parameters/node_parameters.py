"""Parameters of perception_node: one table, one validation, one callback that sets all or nothing."""

from __future__ import annotations

import array
import re
import threading
from collections.abc import Callable, Collection
from pathlib import Path

from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from perception_contrast.core.errors import ModelError, PerceptionError
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.pipeline.output_request import Settings
from perception_contrast.ros.messages.query_messages import Asked, asked
from perception_contrast.ros.parameters.parameter_spec import ParameterError, Value, Values
from perception_contrast.ros.parameters.parameter_table import ALL, TOPICS
from perception_contrast.ros.parameters.parameter_table import SPECS as SPECS
from perception_contrast.segmentation.sam.registered_proposers import registered_proposer

_BY_NAME = {spec.name: spec for spec in SPECS}
# What is looked for follows from these together.
ASKING = frozenset({"vocabulary", "queries", "distractors"})
# What the models follow from.
LOADED = tuple(spec.name for spec in SPECS if spec.change == "reload")
# One value for each camera, or one for all.
EACH = ("camera_max_rates", "camera_weights", "expected_rates")
_CAMERA = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,63}")


def defaults() -> dict[str, Value]:
    return {spec.name: spec.default for spec in SPECS}


def check(values: Values, changed: Collection[str]) -> None:
    """Raises ParameterError or QueryError for the first value that is refused. changed: names."""
    for name, value in values.items():
        problem = _BY_NAME[name].problem(value)
        if problem:
            raise ParameterError(problem)
    if not ASKING.isdisjoint(changed):
        # The vocabulary's own rules: empty or overlong text, labels given twice, too many.
        Vocabulary().with_queries(*asked_for(values))
    if "proposals" in changed:
        proposal_files(values)
    if "cameras" in changed:
        camera_names(values)
    for name in EACH:
        each(values, name)
    allowed_outputs(values)


def camera_names(values: Values) -> tuple[str, ...]:
    """Names of the cameras, ("",) for one of no name. Raises ParameterError."""
    names = tuple(name for name in values["cameras"] if name)
    for name in names:
        if not _CAMERA.fullmatch(name):
            raise ParameterError(
                f"parameter 'cameras': '{name}' cannot be part of a topic's name; use letters, digits and _"
            )
        if name in TOPICS:
            raise ParameterError(f"parameter 'cameras': '{name}' is the name of an output; choose another")
    if len(set(names)) != len(names):
        raise ParameterError("parameter 'cameras' names one twice")
    return names or ("",)


def each(values: Values, name: str) -> dict[str, float]:
    """Camera to its value of a parameter that holds one for each, or one for all. Raises ParameterError."""
    cameras, given = camera_names(values), [float(value) for value in values[name]]
    if len(given) not in (1, len(cameras)):
        raise ParameterError(
            f"parameter '{name}' has {len(given)} values for {len(cameras)} cameras; give one for each, "
            "or one for all"
        )
    return dict(zip(cameras, given * len(cameras), strict=False))


def max_rates(values: Values) -> dict[str, float]:
    """Camera to the most frames a second, 0 for no limit."""
    return {
        name: rate or float(values["max_rate"]) for name, rate in each(values, "camera_max_rates").items()
    }


def allowed_outputs(values: Values) -> tuple[str, ...]:
    """Outputs that may be computed. Raises ParameterError."""
    names = tuple(name for name in values["outputs"] if name)
    for name in names:
        if name not in (ALL, *TOPICS):
            raise ParameterError(f"parameter 'outputs': '{name}' is not one of {', '.join((ALL, *TOPICS))}")
    return TOPICS if ALL in names else names


def asked_for(values: Values) -> Asked:
    """Queries and distractors that the parameters ask for. Raises QueryError."""
    return asked(str(values["vocabulary"]), values["queries"], values["distractors"])


def proposal_files(values: Values) -> tuple[Path, ...] | None:
    """The files that parameter ``proposals`` names. Raises ParameterError, with the names there are."""
    name = str(values["proposals"])
    try:
        return registered_proposer(name).files if name else None
    except ModelError as error:
        raise ParameterError(f"parameter 'proposals': {error}") from error


def settings(values: Values) -> Settings:
    """What the pipeline is configured with."""
    return Settings(
        short_side=values["short_side"],
        max_tokens=values["max_tokens"],
        mask_threshold=values["mask_threshold"] or None,
        detection_threshold=values["detection_threshold"] or None,
        max_detections=values["max_detections"],
        tile=values["tile"],
        tile_overlap=values["tile_overlap"],
        track=values["tracking"],
        track_seconds=values["track_seconds"],
        split=values["split"],
        refine_masks_most=values["refine_masks_most"],
        zoom=values["zoom"],
    )


class Parameters:
    """Declares the table on a node and keeps ``values`` in step with what is in force.

    apply(new, old): puts new values in force and raises PerceptionError to refuse them all.
    known: raises PerceptionError for names of models that there are none of. lock: held while a set goes on.
    Raises ParameterError where a value given at start is refused.
    """

    def __init__(
        self, node: Node, apply: Callable[[Values, Values], None], known: Callable[[Values], None]
    ) -> None:
        self._apply, self._known = apply, known
        self.lock = threading.RLock()
        try:
            for spec in SPECS:
                default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
                node.declare_parameter(spec.name, default, spec.descriptor())
        except ParameterException as error:
            raise ParameterError(" ".join(str(error).split())) from error
        self.values: Values = {spec.name: _plain(node.get_parameter(spec.name).value) for spec in SPECS}
        check(self.values, self.values)
        # Called after a set is in force, with the new values and the old; and with why one was refused.
        self.changed: Callable[[Values, Values], None] = lambda new, old: None
        self.refused: Callable[[str], None] = lambda reason: None
        node.add_on_set_parameters_callback(self._on_set)

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        changed = {one.name: _plain(one.value) for one in parameters if one.name in _BY_NAME}
        if not changed:
            return SetParametersResult(successful=True)
        with self.lock:
            new = {**self.values, **changed}
            try:
                check(new, changed)
                if any(new[name] != self.values[name] for name in LOADED):
                    self._known(new)
                self._apply(new, self.values)
            except PerceptionError as error:
                self.refused(str(error))
                return SetParametersResult(successful=False, reason=str(error))
            old, self.values = self.values, new
        self.changed(new, old)
        return SetParametersResult(successful=True)


def known_models(values: Values) -> None:
    """Raises ModelError for names of models that there are none of, with the nearest there are.

    Raises ParameterError for a folder where ``model_paths`` takes none.
    """
    from perception_contrast.models.folder_models import is_folder_name
    from perception_contrast.models.registry import model_spec

    for name in ("model", "language_model"):
        value = str(values[name])
        if is_folder_name(value) and not values["model_paths"]:
            raise ParameterError(
                f"parameter '{name}': '{value}' is a path, and model_paths is false: "
                "give the path at start, or a name of `perception-contrast models list`"
            )
        if value not in ("", "none"):
            model_spec(value)


def _plain(value: Value) -> Value:
    return list(value) if isinstance(value, array.array) else value
