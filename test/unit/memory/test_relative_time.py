"""Times as people type them."""

from __future__ import annotations

from datetime import datetime

import pytest

from perception_contrast.memory.relative_time import duration, moment
from perception_contrast.memory.sightings import RecallError

SECOND = 1_000_000_000
NOW = round(datetime(2026, 5, 4, 10, 30).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90 s", 90),
        ("1 minute", 60),
        ("2.5h", 9000),
        (" 3 Hours ", 10800),
        ("2 days ago", 172800),
        ("1w", 604800),
    ],
)
def test_spans(text: str, seconds: int) -> None:
    assert duration(text) == seconds * SECOND
    assert moment(text, NOW) == NOW - seconds * SECOND


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", datetime(2026, 5, 4, 10, 30)),
        ("today", datetime(2026, 5, 4)),
        ("Yesterday", datetime(2026, 5, 3)),
        ("2026-05-01", datetime(2026, 5, 1)),
        ("2026-05-01 08:15", datetime(2026, 5, 1, 8, 15)),
        ("2026-05-01T08:15:30+00:00", datetime.fromisoformat("2026-05-01T08:15:30+00:00")),
    ],
)
def test_moments(text: str, expected: datetime) -> None:
    assert moment(text, NOW) == round(expected.timestamp()) * SECOND


@pytest.mark.parametrize("text", ["", "soon", "-3 h", "3 fortnights", "2026-13-01", "1e400 h", "three hours"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(RecallError, match="is no time"):
        moment(text, NOW)
    with pytest.raises(RecallError, match="is no span of time"):
        duration(text)
