"""Parameters of perception_node: one table, one validation, one callback that sets all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from ..encoders.dense.names import METHODS
from ..encoders.engines.names import AUTO, KINDS, PRECISIONS
from ..errors import ModelError, PerceptionError
from ..language.vocabulary import Vocabulary
from ..openvocab.own_proposals import own_proposals
from ..wants import Settings
from .queries import Asked, asked
from .spec import ParameterError, Spec, Value, Values

SPECS = (
    Spec("model", "dinov2-s14", "Image encoder, see `perception-contrast models`.", change="unconfigured"),
    Spec(
        "language_model",
        "household-lit",
        "Model that matches words to pixels; none to do without (exemplars still work).",
        change="unconfigured",
    ),
    Spec(
        "dense",
        "auto",
        "Way to the features that words are compared with; auto is proxyclip beside a DINO, else naclip.",
        choices=(AUTO, *METHODS),
        change="unconfigured",
    ),
    Spec("device", "auto", "auto, cpu, cuda or cuda:N.", change="unconfigured"),
    Spec(
        "engine",
        "auto",
        "What the models run on; auto measures once on this machine and remembers the fastest that is exact.",
        choices=(AUTO, *KINDS),
        change="unconfigured",
    ),
    Spec(
        "precision",
        "auto",
        "Of matrix products; auto is whatever is fastest and keeps the features' directions.",
        choices=(AUTO, *PRECISIONS),
        change="unconfigured",
    ),
    Spec(
        "proposals",
        "",
        "Files of the SAM family that draw masks anew, by the name of `models add ... --like sam`; or none.",
        change="unconfigured",
    ),
    Spec("offline", False, "Never use a network; weights must be in the cache.", change="unconfigured"),
    Spec(
        "image_transport",
        "raw",
        "raw reads `image`; compressed reads `image/compressed` (JPEG, PNG).",
        choices=("raw", "compressed"),
        change="never",
    ),
    Spec(
        "reliability",
        "auto",
        "Of camera subscriptions: auto is reliable where every publisher offers that, else best effort.",
        choices=("auto", "reliable", "best_effort"),
        change="never",
    ),
    Spec("use_depth", False, "Also read `depth` and `camera_info`.", change="never"),
    Spec("autostart", True, "Configure and activate at start.", change="never"),
    Spec(
        "vocabulary",
        "",
        "Name of a vocabulary to look for, see `perception-contrast vocab list`; empty for none.",
    ),
    Spec(
        "queries",
        ("",),
        "What to look for besides: 'label' or 'label: phrase; phrase; !negative'. Empty strings are ignored.",
    ),
    Spec("distractors", ("",), "Things that compete with the queries and are never published."),
    Spec("mask_threshold", 0.0, "Probability that labels a pixel; 0 takes the model's own.", 0.0, 1.0),
    Spec("detection_threshold", 0.0, "Probability of a detection; 0 takes the model's own.", 0.0, 1.0),
    Spec("short_side", 378, "Short side in pixels of the picture that the encoder sees.", 56, 2048),
    Spec("max_tokens", 2048, "Most patches of that picture; larger pictures are scaled down.", 16, 65536),
    Spec(
        "tile",
        0,
        "Side in pixels of the windows that the encoders see a larger picture through; 0 for all at once.",
        0,
        2048,
    ),
    Spec("tile_overlap", 0.25, "Share of a window that the next one sees too.", 0.0, 0.5),
    Spec("max_detections", 100, "Most detections of one frame, best first.", 1, 1000),
    Spec("tracking", True, "Give detections ids that last through occlusion and the camera's motion."),
    Spec("split", True, "Part regions of several things of a kind into the single ones."),
    Spec("refine_masks_most", 20, "Most detections of one frame that proposals draw anew.", 0, 100),
    Spec("track_seconds", 2.0, "How long a thing that is out of sight keeps its id.", 0.1, 60.0),
    Spec("feature_dtype", "float16", "Type of FeatureMap values.", choices=("float16", "float32")),
    Spec("max_rate", 0.0, "Most frames a second that are processed; 0 for no limit.", 0.0, 1000.0),
)
_BY_NAME = {spec.name: spec for spec in SPECS}
# What is looked for follows from these together.
ASKING = frozenset({"vocabulary", "queries", "distractors"})


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


def asked_for(values: Values) -> Asked:
    """Queries and distractors that the parameters ask for. Raises QueryError."""
    return asked(str(values["vocabulary"]), values["queries"], values["distractors"])


def proposal_files(values: Values) -> tuple[Path, ...] | None:
    """The files that parameter ``proposals`` names. Raises ParameterError, with the names there are."""
    name = str(values["proposals"])
    try:
        return own_proposals(name).files if name else None
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
    )


class Parameters:
    """Declares the table on a node and keeps ``values`` in step with what is in force.

    apply(new, old): puts new values in force and raises PerceptionError to refuse them all.
    is_configured: while it is true, parameters marked "unconfigured" are refused.
    Raises ParameterError where a value given at start is refused.
    """

    def __init__(
        self, node: Node, apply: Callable[[Values, Values], None], is_configured: Callable[[], bool]
    ) -> None:
        self._apply, self._is_configured = apply, is_configured
        try:
            for spec in SPECS:
                default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
                node.declare_parameter(spec.name, default, spec.descriptor())
        except ParameterException as error:
            raise ParameterError(" ".join(str(error).split())) from error
        self.values: Values = {spec.name: node.get_parameter(spec.name).value for spec in SPECS}
        check(self.values, self.values)
        node.add_on_set_parameters_callback(self._on_set)

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        changed = {one.name: one.value for one in parameters if one.name in _BY_NAME}
        if not changed:
            return SetParametersResult(successful=True)
        new = {**self.values, **changed}
        try:
            self._refuse_locked(changed)
            check(new, changed)
            self._apply(new, self.values)
        except PerceptionError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self.values = new
        return SetParametersResult(successful=True)

    def _refuse_locked(self, changed: Values) -> None:
        for name, value in changed.items():
            locked = _BY_NAME[name].change == "unconfigured" and self._is_configured()
            if locked and value != self.values[name]:
                raise ParameterError(
                    f"parameter '{name}' can be changed only while the node is unconfigured; "
                    "deactivate and clean it up first (ros2 lifecycle set)"
                )
