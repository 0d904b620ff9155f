"""A webcam that is not there."""

from __future__ import annotations

import pytest

from perception_contrast.core.errors import PerceptionError
from perception_contrast.recordings.webcam import WebcamSource


def test_absent_webcam() -> None:
    with pytest.raises(PerceptionError, match="webcam 97"):
        WebcamSource(97)
