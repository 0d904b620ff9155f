"""Do identities hold from frame to frame? MOTA, IDF1 and HOTA, counted by TrackEval.

CLEAR MOT: Bernardin and Stiefelhagen, 2008. IDF1: Ristani et al., 2016. HOTA: Luiten et al., 2021.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast_training.evaluation.libraries import evaluation_library

LEAST_OVERLAP = 0.5  # of a match for MOTA and IDF1


@dataclass
class TrackFigures:
    """Gathers one sequence frame by frame; ids are anything that can be told apart."""

    _truths: list[NDArray[np.int64]] = field(default_factory=list)
    _found: list[NDArray[np.int64]] = field(default_factory=list)
    _overlaps: list[NDArray[np.float64]] = field(default_factory=list)
    _truth_ids: dict[Hashable, int] = field(default_factory=dict)
    _found_ids: dict[Hashable, int] = field(default_factory=dict)

    def add(
        self,
        truths: Sequence[Hashable],
        found: Sequence[Hashable],
        overlaps: NDArray[np.float64],
        ignored: Sequence[bool] = (),
    ) -> None:
        """One frame. overlaps: (truths, found), 0 where the labels differ.

        ignored: which truths count neither for nor against; what was found there is left out with them,
        unless it overlaps a truth that counts more.
        """
        away = np.asarray(ignored or [False] * len(truths), bool)
        table = np.asarray(overlaps, float).reshape(len(truths), len(found))
        kept = ~_swallowed(table, away)
        self._truths.append(
            _numbered(self._truth_ids, [t for t, a in zip(truths, away, strict=True) if not a])
        )
        self._found.append(_numbered(self._found_ids, [f for f, k in zip(found, kept, strict=True) if k]))
        self._overlaps.append(table[~away][:, kept])

    def summary(self) -> dict[str, float | int]:
        """mota, idf1, hota (shares; mota may be negative), id_switches, fragments, found and missed truths,
        false reports, and how many identities there were on both sides."""
        data = self._sequence()
        metrics = evaluation_library("trackeval").metrics
        quiet = {"THRESHOLD": LEAST_OVERLAP, "PRINT_CONFIG": False}
        clear = metrics.CLEAR(dict(quiet)).eval_sequence(data)
        identity = metrics.Identity(dict(quiet)).eval_sequence(data)
        hota = metrics.HOTA().eval_sequence(data)
        return {
            "mota": float(clear["MOTA"]),
            "idf1": float(identity["IDF1"]),
            "hota": float(np.mean(hota["HOTA"])),
            "id_switches": int(clear["IDSW"]),
            "fragments": int(clear["Frag"]),
            "found": int(clear["CLR_TP"]),
            "missed": int(clear["CLR_FN"]),
            "false": int(clear["CLR_FP"]),
            "true_identities": data["num_gt_ids"],
            "tracks": data["num_tracker_ids"],
        }

    def _sequence(self) -> dict[str, Any]:
        return {
            "num_timesteps": len(self._truths),
            "num_gt_ids": len(self._truth_ids),
            "num_tracker_ids": len(self._found_ids),
            "num_gt_dets": sum(len(ids) for ids in self._truths),
            "num_tracker_dets": sum(len(ids) for ids in self._found),
            "gt_ids": self._truths,
            "tracker_ids": self._found,
            "similarity_scores": self._overlaps,
        }


def _swallowed(table: NDArray[np.float64], away: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(found,) whether a report lies best on an ignored truth."""
    if not away.any() or not table.size:
        return np.zeros(table.shape[1], bool)
    best = table.argmax(axis=0)
    return np.asarray(away[best] & (table.max(axis=0) >= LEAST_OVERLAP))


def _numbered(known: dict[Hashable, int], ids: Sequence[Hashable]) -> NDArray[np.int64]:
    return np.array([known.setdefault(one, len(known)) for one in ids], np.int64)
