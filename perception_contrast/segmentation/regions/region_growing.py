"""Grows the regions of every query from its upsampled logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perception_contrast.core.arrays import FloatArray, Size
from perception_contrast.segmentation.calibration import Calibration
from perception_contrast.segmentation.regions.hysteresis import LogitWindow, grow_regions
from perception_contrast.segmentation.regions.region import QueryRegion
from perception_contrast.segmentation.search_settings import SearchSettings
from perception_contrast.segmentation.thresholds import mask_logit
from perception_contrast.segmentation.upsampling.logit_map import LogitMap
from perception_contrast.segmentation.upsampling.logit_upsampler import LogitUpsampler

SMOOTHING = 1.0  # logits by which smoothing along an edge can lift a cell


def upsample_seeded(
    logits: FloatArray,
    upsampler: LogitUpsampler,
    calibrations: Sequence[Calibration],
    settings: SearchSettings,
) -> dict[int, LogitMap]:
    """Upsampled logits of the queries that reach their seed anywhere, by the query's number.

    Args:
        logits: (q, h, w).
        upsampler: of the image.
        calibrations: of each query.
        settings: for the mask threshold, which may ask for pixels below the calibration's low.
    """
    maps: dict[int, LogitMap] = {}
    for index, (grid, calibration) in enumerate(zip(logits, calibrations, strict=True)):
        if float(grid.max()) >= calibration.seed:
            low = min(calibration.low, mask_logit(settings, calibration))
            maps[index] = upsampler.upsample(grid, low - SMOOTHING)
    return maps


def grow_query_regions(
    maps: Mapping[int, LogitMap],
    map_size: Size,
    calibrations: Sequence[Calibration],
    settings: SearchSettings,
) -> list[QueryRegion]:
    """Regions of each query by hysteresis between its calibration's seed and low."""
    windows = [
        LogitWindow(one.coarse, calibrations[index].seed, calibrations[index].low, one.box[:2])
        for index, one in maps.items()
    ]
    pixels = map_size[0] * map_size[1]
    grown = grow_regions(windows, pixels, settings.min_region_share, settings.max_detections)
    return [
        QueryRegion(index, region) for index, regions in zip(maps, grown, strict=True) for region in regions
    ]
