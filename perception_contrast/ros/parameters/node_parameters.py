"""Parameters of perception_node: their validation, and what they say to the parts of the node."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from rclpy.node import Node

from perception_contrast.core.errors import ModelError
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.pipeline.pipeline_settings import AS_LONG_AS_ENCODING, PipelineSettings
from perception_contrast.ros.parameters.parameter_set import ParameterSet
from perception_contrast.ros.parameters.parameter_spec import ParameterError, Value, Values
from perception_contrast.ros.parameters.parameter_table import ALL_OUTPUTS, OUTPUTS
from perception_contrast.ros.parameters.parameter_table import SPECS as SPECS
from perception_contrast.ros.parameters.requested_queries import RequestedQueries, parse_requested_queries
from perception_contrast.segmentation.place_level import checked_place
from perception_contrast.segmentation.sam.registered_proposers import registered_proposer

# Parameters that give the vocabulary together.
VOCABULARY_PARAMETERS = frozenset({"vocabulary", "queries", "distractors"})
# Parameters whose change loads other models.
MODEL_PARAMETERS = tuple(spec.name for spec in SPECS if spec.change == "reload")
# Parameters with one value for each camera, or one for all.
PER_CAMERA_PARAMETERS = ("camera_max_rates", "camera_weights", "expected_rates")
_CAMERA_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,63}")


class NodeParameters(ParameterSet):
    """The parameters of perception_node, as ParameterSet declares and keeps them."""

    def __init__(self, node: Node) -> None:
        super().__init__(node, SPECS, check_together)


def defaults() -> dict[str, Value]:
    """Name to default value."""
    return {spec.name: spec.default for spec in SPECS}


def check_together(values: Values, changed: Collection[str]) -> None:
    """Validates what single values do not show. Raises ParameterError, ModelError or QueryError.

    Args:
        values: Of all parameters.
        changed: Names of those that may differ from what was validated before.
    """
    if not VOCABULARY_PARAMETERS.isdisjoint(changed):
        # The vocabulary's own rules: empty or overlong text, labels given twice, too many.
        Vocabulary().with_queries(*requested_queries(values))
    if "proposals" in changed:
        proposal_files(values)
    if "place" in changed and values["place"]:
        checked_place(str(values["place"]))
    if "cameras" in changed:
        camera_names(values)
    for name in PER_CAMERA_PARAMETERS:
        per_camera(values, name)
    allowed_outputs(values)


def check_model_names(values: Values) -> None:
    """Raises ModelError for an unknown model, naming the nearest known ones.

    Raises ParameterError for a folder where ``model_paths`` allows none.
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
    check_heads(values)


def head_names(values: Values) -> tuple[str, ...]:
    """Names and paths of the heads that are served."""
    return tuple(str(name) for name in values["heads"] if name)


def check_heads(values: Values) -> None:
    """Raises ModelError for a head that cannot be read, and for two with one class.

    Raises ParameterError for a path where ``model_paths`` allows none.
    """
    from perception_contrast.heads.head_files import read_card
    from perception_contrast.heads.registered_heads import is_head_path, named_head_path

    owners: dict[str, str] = {}
    for name in head_names(values):
        if is_head_path(name) and not values["model_paths"]:
            raise ParameterError(
                f"parameter 'heads': '{name}' is a path, and model_paths is false: give the path at start, "
                "or a name of `perception-contrast models list`"
            )
        for label in read_card(named_head_path(name)).classes:
            if label in owners:
                raise ModelError(
                    f"heads '{owners[label]}' and '{name}' both have the class '{label}'; serve one of them"
                )
            owners[label] = name


def camera_names(values: Values) -> tuple[str, ...]:
    """Names of the cameras, ("",) for one without a name. Raises ParameterError."""
    return checked_camera_names(values["cameras"])


def checked_camera_names(given: Value) -> tuple[str, ...]:
    """The values of a parameter ``cameras``, ("",) for one without a name. Raises ParameterError."""
    names = tuple(str(name) for name in given if name)
    for name in names:
        if not _CAMERA_NAME.fullmatch(name):
            raise ParameterError(
                f"parameter 'cameras': '{name}' cannot be part of a topic's name; use letters, digits and _"
            )
        if name in OUTPUTS:
            raise ParameterError(f"parameter 'cameras': '{name}' is the name of an output; choose another")
    if len(set(names)) != len(names):
        raise ParameterError("parameter 'cameras' names one twice")
    return names or ("",)


def per_camera(values: Values, name: str) -> dict[str, float]:
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
    rates = per_camera(values, "camera_max_rates")
    return {name: rate or float(values["max_rate"]) for name, rate in rates.items()}


def allowed_outputs(values: Values) -> tuple[str, ...]:
    """Outputs that may be computed. Raises ParameterError."""
    names, known = tuple(name for name in values["outputs"] if name), (ALL_OUTPUTS, *OUTPUTS)
    for name in names:
        if name not in known:
            raise ParameterError(f"parameter 'outputs': '{name}' is not one of {', '.join(known)}")
    return OUTPUTS if ALL_OUTPUTS in names else names


def requested_queries(values: Values) -> RequestedQueries:
    """Queries and distractors that the parameters ask for. Raises QueryError."""
    return parse_requested_queries(str(values["vocabulary"]), values["queries"], values["distractors"])


def proposal_files(values: Values) -> tuple[Path, ...] | None:
    """The files that parameter ``proposals`` names. Raises ParameterError, with the names there are."""
    name = str(values["proposals"])
    try:
        return registered_proposer(name).files if name else None
    except ModelError as error:
        raise ParameterError(f"parameter 'proposals': {error}") from error


def rescoring_ms(values: Values) -> float:
    """``PipelineSettings.rescoring_ms`` of parameter ``zoom_budget_ms``, where below 0 is automatic."""
    budget = float(values["zoom_budget_ms"])
    if budget < 0.0:
        return AS_LONG_AS_ENCODING
    return budget or math.inf


def pipeline_settings(values: Values) -> PipelineSettings:
    """Settings of the pipeline."""
    return PipelineSettings(
        short_side=values["short_side"],
        max_tokens=values["max_tokens"],
        mask_threshold=values["mask_threshold"] or None,
        detection_threshold=values["detection_threshold"] or None,
        max_detections=values["max_detections"],
        tile=values["tile"],
        tile_overlap=values["tile_overlap"],
        track=values["tracking"],
        track_seconds=values["track_seconds"],
        split_instances=values["split"],
        max_refined_masks=values["refine_masks_most"],
        max_rescored=values["zoom"],
        rescoring_ms=rescoring_ms(values),
        overlay_scores=values["overlay_scores"],
    )


def model_parameters(values: Values) -> dict[str, Any]:
    """The values of MODEL_PARAMETERS."""
    return {name: values[name] for name in MODEL_PARAMETERS}


def vocabulary_parameters(values: Values) -> dict[str, Any]:
    """The values of VOCABULARY_PARAMETERS, as JSON can hold them."""
    return {
        name: list(values[name]) if not isinstance(values[name], str) else values[name]
        for name in sorted(VOCABULARY_PARAMETERS)
    }
