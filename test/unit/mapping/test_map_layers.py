"""The layers of a map agree: what is gone or forgotten is nowhere, and all keep to the range of depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from box_rooms import CAMERA, Corners, depth_of, frame_of, looking, walls

from perception_contrast.core.detection import Detection, RegionVectors, Scores
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.answers.map_answer import AnswerKind
from perception_contrast.mapping.answers.map_query import FindFilters, MapQuery
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.map_persistence import header_of, map_of, state_of
from perception_contrast.mapping.map_settings import MapSettings
from perception_contrast.mapping.semantic_map import SemanticMap

ROOM = walls(-2, -2, 3, 2)
MUG: Corners = ((1.4, -0.2, 0.0), (1.7, 0.1, 0.4))
WORDS = np.eye(4, dtype=np.float32)  # mug, wall, and two others
SPACE = "words@0"


def seen(number: int, *boxes: Corners) -> MapFrame:
    """A frame of the room; of the boxes, the first is a mug."""
    pose = looking(-0.4 + 0.05 * number, -0.1, 0.0)
    frame = frame_of([*ROOM, *boxes], pose)
    mask = frame.depth < depth_of(ROOM, pose, CAMERA) - 1e-3
    grid = np.tile(WORDS[1], (12, 16, 1))
    grid[mask.reshape(12, 10, 16, 10).mean(axis=(1, 3)) > 0.5] = WORDS[0]
    semantic = FeatureGrid(
        grid, "words", SPACE, GridToImage.of_resize((120, 160), (12, 16)), (120, 160), True
    )
    frame = replace(frame, stamp=(number + 1) * 10**9, semantic=semantic, semantic_space=SPACE)
    if not mask.any():
        return frame
    rows, columns = np.nonzero(mask)
    box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    cut = mask[box[1] : box[3], box[0] : box[2]]
    found = Detection("mug", Scores(0.9, 0.9, 0.9), box, cut, WORDS[0], SPACE, "1")
    return replace(frame, detections=(found,), vectors=(RegionVectors(WORDS[0], None),))


def made(*frames: MapFrame, settings: MapSettings | None = None) -> SemanticMap:
    own = SemanticMap(settings or MapSettings(surface_voxel=0.0))
    for frame in frames:
        own.integrate(frame)
    return own


def likeness(own: SemanticMap) -> float:
    """Of the voxel in the mug's place, above the floor, that is most like a mug; 0 without any."""
    assert own.voxels is not None and len(own.voxels)
    places = own.voxels.positions(own.voxels.live_rows())
    inside = (
        (places > np.array(MUG[0]) + np.array((-0.03, -0.03, 0.06))) & (places < np.array(MUG[1]) + 0.03)
    ).all(axis=1)
    return float(own.voxels.scores(WORDS[:1])[0][inside].max(initial=0.0))


def asked(own: SemanticMap) -> AnswerKind:
    return own.find(MapQuery(label="mug", texts=WORDS[:1])).kind


def test_words_do_not_find_what_was_seen_to_be_gone() -> None:
    own = made(*(seen(number, MUG) for number in range(4)))
    assert asked(own) == AnswerKind.FOUND and likeness(own) > 0.9
    for number in range(4, 8):
        own.integrate(seen(number))
    assert [one.status for one in own.objects.objects] == ["gone"]
    assert likeness(own) < 0.4
    with_gone = own.find(MapQuery(label="mug", texts=WORDS[:1]), FindFilters(include_gone=True))
    assert with_gone.kind == AnswerKind.FOUND


def test_a_refused_frame_changes_no_layer() -> None:
    own = made(*(seen(number, MUG) for number in range(3)))
    before = [one.box.center.tolist() for one in own.objects.objects]
    away = seen(3, MUG)
    pose = RigidTransform(away.pose.rotation, np.add(away.pose.translation, (1e7, 0.0, 0.0)))
    with pytest.raises(PerceptionError, match="poses"):
        own.integrate(replace(away, pose=pose))
    assert [one.box.center.tolist() for one in own.objects.objects] == before


def test_words_do_not_find_what_was_forgotten() -> None:
    own = made(*(seen(number, MUG) for number in range(4)))
    own.forget([one.id for one in own.objects.objects])
    assert likeness(own) < 0.4


@pytest.mark.parametrize("voxel", [0.02, 0.12])
def test_what_is_gone_leaves_voxels_of_any_size(voxel: float) -> None:
    own = made(
        *(seen(number, MUG) for number in range(4)),
        *(seen(number) for number in range(4, 8)),
        settings=MapSettings(voxel=voxel, surface_voxel=0.0),
    )
    assert likeness(own) < 0.4


def test_depth_that_is_too_near_is_none_in_every_layer() -> None:
    near = replace(seen(0, MUG), depth=np.full((120, 160), 0.5, np.float32))
    own = made(near, settings=MapSettings(near=0.6, surface_voxel=0.0))
    assert own.voxels is not None and not len(own.voxels) and not own.objects.objects
    assert not (own.grid.snapshot().cells == 100).any()


def test_the_range_holds_for_every_layer_after_loading_too() -> None:
    pytest.importorskip("open3d")
    settings = MapSettings(max_range=9.0, near=0.3)
    own = made(seen(0, MUG), settings=settings)
    again = map_of(state_of(own, header_of(own, "map")), settings)
    for one in (own, again):
        assert one.surface is not None and one.surface.max_range == 9.0
        assert one.objects.settings.near == 0.3 and one.objects.settings.far > 9.0
