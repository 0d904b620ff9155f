"""Splits candidates into instances, each with its own scores."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

from perception_contrast.segmentation.instances.splitter import Splitter
from perception_contrast.segmentation.regions.candidate import Candidate
from perception_contrast.segmentation.regions.region import QueryRegion, crop_region
from perception_contrast.segmentation.regions.region_scoring import RegionScorer
from perception_contrast.segmentation.search_context import SearchContext
from perception_contrast.segmentation.upsampling.logit_map import LogitMap

# Each part of a wrong region is one more wrong report. Below even odds that is likelier than a gain.
SPLIT_FROM = 0.5


def split_candidates(
    candidates: Sequence[Candidate],
    maps: Mapping[int, LogitMap],
    splitter: Splitter,
    scorer: RegionScorer,
    context: SearchContext,
) -> list[Candidate]:
    """Candidates of one instance each; an instance is at least as probable as the whole it was split from.

    A region that is less probable than SPLIT_FROM stays whole, and so does one of which fewer than two
    parts would be published by themselves: a cut through one thing must not report it twice.

    Args:
        candidates: regions that may hold several instances.
        maps: upsampled logits, by the number of the query.
        splitter: of the image.
        scorer: of the instances.
        context: of the image.
    """
    found: list[Candidate] = []
    split: list[tuple[Candidate, int]] = []  # and into how many parts
    parts: list[QueryRegion] = []
    for candidate in candidates:
        masks = splitter(candidate.region) if candidate.probability >= SPLIT_FROM else ()
        if len(masks) < 2:
            found.append(candidate)
            continue
        logit_map = maps[candidate.query]
        values = logit_map.coarse[logit_map.slices(candidate.region.box)]
        parts += [QueryRegion(candidate.query, crop_region(candidate.region, mask, values)) for mask in masks]
        split.append((candidate, len(masks)))
    scored = iter(scorer.score(parts, context))
    for candidate, count in split:
        found += _parts_or_whole(candidate, list(itertools.islice(scored, count)))
    return found


def _parts_or_whole(whole: Candidate, parts: Sequence[Candidate]) -> list[Candidate]:
    # Parts are not rescored: the whole's threshold may be the higher one.
    least = whole.calibrated_threshold
    if sum(part.probability >= max(part.calibrated_threshold, least) for part in parts) < 2:
        return [whole]
    return [replace(part, probability=max(part.probability, whole.probability)) for part in parts]
