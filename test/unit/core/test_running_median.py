"""The median of the last few values."""

from __future__ import annotations

from perception_contrast.core.running_median import RunningMedian


def test_the_last_values_count_and_one_outlier_does_not() -> None:
    median = RunningMedian(3)
    assert median.value is None
    for given, expected in ((4.0, 4.0), (6.0, 5.0), (900.0, 6.0), (5.0, 6.0), (5.0, 5.0)):
        median.add(given)
        assert median.value == expected
