"""Track ids of a pipeline's detections."""

from __future__ import annotations

import itertools
from dataclasses import replace

from frame_checks import GREEN, RED, painted
from small_models import encoders_of

from perception_contrast.core.vocabulary import Query
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings


def test_ids_stay_with_their_things_and_never_come_again() -> None:
    numbers = itertools.count(1)
    settings = PipelineSettings(short_side=378)
    pipeline = Pipeline(encoders_of("colours"), settings, track_numbers=numbers)
    pipeline.set_queries([Query("red"), Query("green")], ["blue", "grey"])

    def ids(k: int, camera: str = "left", stream: str = "") -> list[str]:
        boxes = {(60 + 9 * k, 40, 200 + 9 * k, 180): RED, (380, 200, 560, 350): GREEN}
        frame = replace(painted((480, 640), boxes), stamp=(k + 1) * 10**8, frame_id=camera)
        result = pipeline.process(replace(frame, stream=stream), OutputRequest(detections=True))
        return [d.track_id for d in sorted(result.detections, key=lambda d: d.label)]

    first = ids(0)
    assert len(set(first)) == 2 and ids(1) == ids(2) == first
    assert set(ids(3, "right")) == {"3", "4"} and ids(4) == first
    pipeline.configure(replace(settings, track=False))
    assert ids(5) == ["", ""]
    pipeline.configure(settings)
    assert ids(6) == first
    pipeline = Pipeline(encoders_of("colours"), settings, track_numbers=numbers)
    pipeline.set_queries([Query("red"), Query("green")], ["blue", "grey"])
    assert set(ids(0)) == {"5", "6"}
    # Two cameras that a driver gave one frame_id are two all the same.
    assert set(ids(1, stream="other")) == {"7", "8"} and set(ids(2)) == {"5", "6"}
