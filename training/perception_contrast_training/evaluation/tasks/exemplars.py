"""Exemplar queries: one labelled box of a class is shown and asked for in all other labelled frames."""

from __future__ import annotations

from pathlib import Path

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.cli.eval_options import Job, pipeline_of
from perception_contrast_training.evaluation.exemplars import (
    HEADINGS,
    LEAST_OVERLAP,
    ask,
    figures_of,
    overlays_of,
    read_boxes,
    rows_of,
)
from perception_contrast_training.evaluation.report import Outcome, Table


def exemplars(job: Job) -> Outcome:
    """Every class of --boxes in every labelled frame of a recording. Raises PerceptionError."""
    options = job.options
    if options.boxes is None:
        raise PerceptionError("task exemplars needs the true boxes; name their COCO JSON with --boxes")
    data = read_boxes(options.boxes, Path(options.data), options.topic, job.skipped)
    answers = ask(pipeline_of(job, words=options.language_model != "none"), data)
    figures = figures_of(answers)
    outcome = Outcome(
        {"classes": figures, "least_overlap": LEAST_OVERLAP, "frames": len(data.frames)},
        [Table("Things asked for by example", HEADINGS, rows_of(figures))],
        notes=list(data.lost),
    )
    if options.draw:
        outcome.images.update(overlays_of(answers, data.names))
    return outcome
