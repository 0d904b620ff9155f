"""What is measured of two parts of a region, for a classifier to tell whether they are two instances."""

from __future__ import annotations

import math
from dataclasses import dataclass

MAX_DEPTH_STEP = 30.0  # hundredths of the distance; larger steps count as this one


@dataclass(frozen=True)
class SplitEvidence:
    """Measures of a split; 0 where one is not known. The names are those of stored classifiers.

    Attributes:
        count: log of the number of instances that the votes' radii suggest.
        votes: distance between the two parts' mean voted centres, in radii.
        colour: CIELAB distance of the mean colours, in steps of 20.
        features: 1 - cosine of the mean features.
        edge: mean edge probability along the border, less that of the whole region.
        border: length of the border over the square root of the smaller part's area.
        depth: depth step across the border, in hundredths of the distance, at most MAX_DEPTH_STEP.
    """

    count: float = 0.0
    votes: float = 0.0
    colour: float = 0.0
    features: float = 0.0
    edge: float = 0.0
    border: float = 0.0
    depth: float = 0.0


def evidence_terms(evidence: SplitEvidence) -> dict[str, float]:
    """A classifier's inputs by name: the measures, saturating forms of them, and an interaction."""
    log_depth = math.log1p(evidence.depth)
    return {
        **vars(evidence),
        "log_depth": log_depth,
        "some_depth": min(evidence.depth, 5.0),
        "some_colour": min(evidence.colour, 1.0),
        "root_features": math.sqrt(max(evidence.features, 0.0)),
        "count_and_depth": evidence.count * log_depth,
        "border_squared": evidence.border**2,
    }
