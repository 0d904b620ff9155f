"""How the rescoring head names things of rooms kept back, beside the head of whole images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.encoders.dinov2 import load_dino
from perception_contrast.encoders.household_lit import HouseholdLit
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.encoders.rescoring_head import RescoringHead
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast_sim.objects.props import SceneObject
from perception_contrast_sim.rooms.scenes import SceneSettings
from perception_contrast_training.evaluation.metrics.presence import reported, threshold_for
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.evaluation.report import Outcome, Table
from perception_contrast_training.household.alignment.household_figures import SIZES
from perception_contrast_training.household.rescoring.concepts import TruthTable
from perception_contrast_training.household.rescoring.enlarged_regions import (
    EnlargedJob,
    RenderedRegions,
    regions_of,
)
from perception_contrast_training.household.rescoring.word_space import WordSpace
from perception_contrast_training.household.words import SURFACES, Words

AT_ONCE = 512  # views
FIRST = 5  # names that are looked at for "within five"
GROUPS = ("all", *(name for _, _, name in SIZES), "surfaces")
ROWS = ("views", "rightly named", "within five", "absent names reported")


def name_vectors(words: WordSpace, names: Sequence[str]) -> Tensor:
    """(k, d) unit rows: the names alone, as a robot asks for them."""
    with torch.inference_mode():
        return words.head.text_embedding(words.bank.vectors(names))


def crop_scores(head: RescoringHead, things: RenderedRegions, names: Tensor) -> Tensor:
    """(n, k) probability of each name for each thing, before any calibration."""
    count = len(things)
    rows = [torch.arange(i, min(i + AT_ONCE, count)) for i in range(0, count, AT_ONCE)]
    with torch.inference_mode():
        vectors = torch.cat([head(things.views(some)) for some in rows])
        return head.logits(vectors @ names.T).double().sigmoid()


def whole_image_scores(
    words: WordSpace,
    jobs: Sequence[EnlargedJob],
    things: RenderedRegions,
    names: Tensor,
    *,
    offline: bool,
) -> Tensor:
    """The same by the head of whole images: regions' mean vectors. Renders the scenes once more.

    Raises PerceptionError where they do not hold the things that the shards hold.
    """
    tower = load_dino(jobs[0].model, offline=offline, pinned=True)
    language = HouseholdLit(tower, words.head, words.bank.tower, words.whole).eval()
    height = SceneSettings().height
    pipeline = Pipeline(Encoders(tower, language, "cpu"), PipelineSettings(short_side=height))
    vectors: list[Tensor] = []
    shown: list[SceneObject | None] = []
    images = (one for job in jobs for one in regions_of(job))
    for _, image, regions in tracked(images, "whole images", sum(job.images for job in jobs)):
        grid = pipeline.extract_features(Frame(image.rgb)).semantic
        assert grid is not None
        rows, columns, _ = grid.shape
        for region in regions:
            shown.append(region.thing)
            weight = cv2.resize(region.mask.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
            mean = torch.einsum("hw,hwd->d", torch.from_numpy(weight), torch.from_numpy(grid.values).float())
            vectors.append(F.normalize(mean, dim=0))
    if shown != things.objects:
        raise PerceptionError("the shards kept back do not hold these scenes; delete them to make them anew")
    with torch.inference_mode():
        return words.head.logits(torch.stack(vectors) @ names.T).double().sigmoid()


def naming(scores: Tensor, things: RenderedRegions, recall: float) -> dict[str, dict[str, float]]:
    """How rightly views are named: GROUPS of each of ROWS. scores: (n, k) of ``shown_names``.

    "all" are things, which the sizes part; "surfaces" are walls, floors and ceilings. "absent names
    reported": of the names that nobody would give what is seen, the share whose score reaches the
    threshold that ``recall`` of the things' own names reach. "nothing" holds the same for views of
    nothing in particular. Raises PerceptionError where there are no things.
    """
    words = Words()
    table = TruthTable(things.objects, (), words)
    surface = torch.tensor([thing is not None and thing.category in SURFACES for thing in things.objects])
    named = table.category < len(table.names)
    groups = {"all": named & ~surface, "surfaces": surface}
    share = torch.from_numpy(things.shares)
    groups |= {name: groups["all"] & (share >= low) & (share < high) for low, high, name in SIZES}
    present = scores[groups["all"], table.category[groups["all"]]].tolist()
    threshold = threshold_for(present, recall)
    if threshold is None:
        raise PerceptionError("the scenes kept back show nothing that has a name; render more of them")
    right = scores.argsort(dim=1, descending=True)[:, :FIRST] == table.category[:, None]
    absent = _absent(words, table.names)
    found: dict[str, dict[str, float]] = {row: {} for row in ROWS}
    for name in GROUPS:
        here = groups[name]
        others = scores[here][absent[table.category[here]]].tolist()
        found["views"][name] = int(here.sum())
        found["rightly named"][name] = float(right[here, 0].double().mean())
        found["within five"][name] = float(right[here].any(dim=1).double().mean())
        found["absent names reported"][name] = reported(others, threshold)
    of_nothing = reported(scores[~named].flatten().tolist(), threshold)
    found["nothing"] = {"views": int((~named).sum()), "names reported": of_nothing}
    return found


def _absent(words: Words, names: Sequence[str]) -> Tensor:
    """(k, k) bool: nobody calls what the row's name names by the column's name."""
    meant = [words.meant_by(name) for name in names]
    return torch.tensor([[name not in kinds for kinds in meant] for name in names])


def outcome(figures: Mapping[str, Mapping[str, Any]], recall: float) -> Outcome:
    """A table of each head, for people."""
    tables = [
        Table(head, ("", *GROUPS), [(row, *(found[row][group] for group in GROUPS)) for row in ROWS])
        for head, found in figures.items()
    ]
    notes = [f"A name is reported from the score on that {recall:.0%} of the things' own names reach."]
    for head, found in figures.items():
        nothing = found["nothing"]
        notes.append(
            f"{head}: of {nothing['views']} views of nothing, {nothing['names reported']:.1%} of names."
        )
    return Outcome(dict(figures), tables, notes=notes)
