"""`perception-contrast find` with a detector that knows colours, as a process that may be killed.

python find_process.py ARGUMENTS
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

from small_models import pipeline_of

from perception_contrast.cli import main
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.pipeline.detector import load
from perception_contrast.pipeline.detector.base import PendingDetections
from perception_contrast.pipeline.detector.pipeline_detector import PipelineDetector
from perception_contrast.pipeline.detector.search_options import SearchOptions

SLOWNESS = "FIND_SECONDS_A_FRAME"


class SlowDetector(PipelineDetector):
    """Takes its time for each frame, so that a test can end its process between two of them."""

    def submit(
        self, frames: Sequence[Frame], vocabulary: Vocabulary, options: SearchOptions | None = None
    ) -> list[PendingDetections]:
        time.sleep(float(os.environ.get(SLOWNESS, "0")) * len(frames))
        return super().submit(frames, vocabulary, options)


def colour_detector(*arguments: object, **options: object) -> PipelineDetector:
    """In the place of ``load``: whatever model is named, the one that knows colours."""
    return SlowDetector(pipeline_of("colours", short_side=112, max_tokens=256), "cpu")


if __name__ == "__main__":
    load.load = colour_detector
    sys.exit(main.main(["find", *sys.argv[1:]]))
