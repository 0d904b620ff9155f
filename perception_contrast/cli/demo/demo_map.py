"""The demo's questions to the map at the end of a run, and what the simulator knows about the answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from rclpy.node import Node
from vision_msgs.msg import Detection3DArray

from perception_contrast.client import ClientError, MapFinding, MapThing, PerceptionClient
from perception_contrast.ros.qos import latched_qos

TRUTH_TOPIC = "/camera/ground_truth/objects"
_TRUTH_PATIENCE = 2.0


class TrueObjects:
    """Listens to where the simulator says that things are.

    Args:
        node: Owner of the subscription; whoever spins it gives messages.
    """

    def __init__(self, node: Node) -> None:
        self.places: dict[str, list[list[float]]] = {}
        node.create_subscription(Detection3DArray, TRUTH_TOPIC, self._take, latched_qos())

    def _take(self, message: Detection3DArray) -> None:
        places: dict[str, list[list[float]]] = {}
        for one in message.detections:
            centre = one.bbox.center.position
            name = one.results[0].hypothesis.class_id
            places.setdefault(name, []).append([centre.x, centre.y, centre.z])
        self.places = places


def map_answers(labels: Sequence[str], truth: dict[str, list[list[float]]]) -> dict[str, dict[str, Any]]:
    """Asks the map for each label.

    Args:
        labels: Of queries.
        truth: Category to the true centres of its things, metres in the map; empty where nobody knows.

    Returns:
        Label to the answer, as docs/demo.md describes it.
    """
    answers: dict[str, dict[str, Any]] = {}
    with PerceptionClient(args=["--ros-args"], timeout=15.0) as perception:
        for label in labels:
            try:
                answers[label] = _answer(perception.map.find(label=label), truth.get(label, []))
            except ClientError as error:
                answers[label] = {"answer": "failed", "message": str(error), "things": []}
    return answers


def _answer(found: MapFinding, true_places: Sequence[Sequence[float]]) -> dict[str, Any]:
    things = [_thing(one, true_places) for one in found.things]
    return {
        "answer": found.answer,
        "message": found.message,
        "things": things,
        "true_places": [[round(value, 3) for value in place] for place in true_places],
    }


def _thing(one: MapThing, true_places: Sequence[Sequence[float]]) -> dict[str, Any]:
    place = np.asarray(one.position, float)
    distances = [float(np.linalg.norm(place - np.asarray(true))) for true in true_places]
    return {
        "id": one.id,
        "label": one.label,
        "score": round(one.score, 3),
        "position": [round(float(value), 3) for value in place],
        "size": [round(float(value), 3) for value in one.box.size],
        "metres_to_truth": round(min(distances), 3) if distances else None,
    }


def wait_for_truth(spin: Any, truth: TrueObjects) -> None:
    """Spins until the simulator has told where things are, for a moment at most."""
    end = time.monotonic() + _TRUTH_PATIENCE
    while not truth.places and time.monotonic() < end:
        spin(0.1)


def lines_of(answers: dict[str, dict[str, Any]]) -> list[str]:
    """The answers in a line each."""
    lines = []
    for label, answer in answers.items():
        if not answer["things"]:
            lines.append(f"map: {label}: {answer['message']}")
            continue
        best = answer["things"][0]
        x, y, z = best["position"]
        away = best["metres_to_truth"]
        truth = "" if away is None else f", {away:.2f} m from the true one"
        lines.append(f"map: {label} {best['score']:.2f} at x {x:.2f} y {y:.2f} z {z:.2f} m{truth}")
    return lines
