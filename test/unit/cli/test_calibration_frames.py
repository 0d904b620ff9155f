"""Frames are spread evenly over sources of known and unknown length, and no more are taken than asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from perception_contrast.cli import calibration_frames
from perception_contrast.cli.calibration_frames import evenly_spread_frames
from perception_contrast.cli.find.find_sources import FoundSources, ReadFrame
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame


@dataclass
class Source:
    """Frames whose pixels say their number; a length that is not told is 0. read: how many were decoded."""

    length: int
    told: int
    broken: frozenset[int] = frozenset()
    read: list[int] = field(default_factory=list)

    def count(self) -> int:
        return self.told

    def frames(self, start: int) -> Iterator[ReadFrame]:
        for index in range(start, self.length):
            self.read.append(index)
            if index in self.broken:
                yield ReadFrame("a source", index, error="it is cut short")
            else:
                yield ReadFrame("a source", index, Frame(np.full((2, 2, 3), index, np.uint8)))


def chosen(monkeypatch: pytest.MonkeyPatch, most: int, *sources: Source) -> list[int]:
    monkeypatch.setattr(calibration_frames, "find_sources", lambda paths: FoundSources(sources))  # type: ignore[arg-type]
    return [int(image[0, 0, 0]) for image in evenly_spread_frames([Path("a")], most)]


def test_known_lengths_are_spread_over(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, 3, Source(101, 101)) == [0, 50, 100]
    assert chosen(monkeypatch, 4, Source(10, 10), Source(90, 90)) == [0, 23, 56, 89]
    assert chosen(monkeypatch, 9, Source(3, 3)) == [0, 1, 2]


@pytest.mark.parametrize("told", [(0,), (0, 0, 0), (0, 100), (100, 0)])
def test_unknown_lengths_take_no_more_and_read_no_further(
    told: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [Source(200, one) for one in told]
    assert 30 <= len(chosen(monkeypatch, 64, *sources)) <= 64
    assert all(len(one.read) <= 101 for one in sources)


def test_frames_that_cannot_be_read_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, 3, Source(101, 101, frozenset({50}))) == [0, 100]
    with pytest.raises(PerceptionError, match="no image of a can be read: it is cut short"):
        chosen(monkeypatch, 1, Source(1, 1, frozenset({0})))
