"""Exports are read by their formats' own rules, and by the libraries that are there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import map_examples
import numpy as np
import pytest
from map_examples import map_object

from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.objects.object_state import record_of
from perception_contrast.mapping.objects.voxel_set import VoxelSet
from perception_contrast.mapping.storage.exports import (
    voxel_centres,
    voxel_colours,
    write_features,
    write_objects_json,
    write_ply,
    write_rerun,
)
from perception_contrast.mapping.storage.map_state import MapState

POINTS = np.array([[0, 0, 0], [1.5, -2, 3]], np.float32)
COLOURS = np.array([[255, 0, 1], [2, 3, 4]], np.uint8)


def test_a_cloud_is_a_ply(tmp_path: Path) -> None:
    write_ply(tmp_path / "cloud.ply", POINTS, COLOURS)
    head, _, body = (tmp_path / "cloud.ply").read_bytes().partition(b"end_header\n")
    lines = head.decode().splitlines()
    assert lines[:3] == ["ply", "format binary_little_endian 1.0", "element vertex 2"]
    assert lines[3:] == [f"property float {axis}" for axis in "xyz"] + [
        f"property uchar {channel}" for channel in ("red", "green", "blue")
    ]
    assert len(body) == 2 * 15
    assert np.frombuffer(body[15:27], "<f4").tolist() == [1.5, -2, 3]
    assert list(body[27:]) == [2, 3, 4]


def test_open3d_reads_the_ply(tmp_path: Path) -> None:
    open3d = pytest.importorskip("open3d")
    normals = np.array([[0, 0, 1], [1, 0, 0]], np.float32)
    write_ply(tmp_path / "cloud.ply", POINTS, COLOURS, normals)
    cloud = open3d.io.read_point_cloud(str(tmp_path / "cloud.ply"))
    np.testing.assert_allclose(np.asarray(cloud.points), POINTS)
    np.testing.assert_allclose(np.asarray(cloud.normals), normals)
    np.testing.assert_array_equal(np.rint(np.asarray(cloud.colors) * 255), COLOURS)


def test_features_are_an_npz_without_pickles(tmp_path: Path) -> None:
    state = map_examples.map_state(voxels=6)
    write_features(tmp_path / "features.npz", state)
    with np.load(tmp_path / "features.npz", allow_pickle=False) as held:
        np.testing.assert_array_equal(held["feat"], state.voxels["vectors"])
        np.testing.assert_allclose(held["coord"], (state.voxels["keys"] + 0.5) * 0.05, atol=1e-6)
        assert held["mask_full"].all() and str(held["space"]) == map_examples.SPACE
    with pytest.raises(PerceptionError, match="no voxels with vectors"):
        write_features(tmp_path / "none.npz", MapState(map_examples.header()))
    assert not (tmp_path / "none.npz").exists()


def test_like_voxels_have_like_colours() -> None:
    state = map_examples.map_state(voxels=40)
    vectors = state.voxels["vectors"]
    vectors[1] = vectors[0]
    colours = voxel_colours(state).astype(int)
    assert colours.shape == (40, 3)
    assert (colours[0] == colours[1]).all()
    assert np.ptp(colours, axis=0).min() > 100
    assert voxel_colours(MapState(map_examples.header())).shape == (0, 3)
    assert voxel_centres(MapState(map_examples.header())).shape == (0, 3)


def test_objects_are_a_feature_collection(tmp_path: Path) -> None:
    # A board of 1 m by 20 cm, turned by 30 degrees.
    flat = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 60), np.linspace(-0.1, 0.1, 20), [0.0, 0.1]), -1)
    turn = np.deg2rad(30)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    points = flat.reshape(-1, 3) @ rotation.T + [2, 3, 1]
    board = map_object(5, "bread board", voxels=VoxelSet.of_points(points, 0.05))
    state = MapState(map_examples.header(), objects=[map_examples.object_record(1), record_of(board)])
    write_objects_json(tmp_path / "objects.json", state)
    held = json.loads((tmp_path / "objects.json").read_text())
    assert (held["type"], held["frame"], held["unit"]) == ("FeatureCollection", "map", "metre")
    feature = held["features"][1]
    assert (feature["id"], feature["properties"]["label"]) == (5, "bread board")
    ring = np.array(feature["geometry"]["coordinates"][0])
    assert ring.shape == (5, 3) and (ring[0] == ring[-1]).all()
    area = 0.5 * np.sum(ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1])
    assert area == pytest.approx(0.2, rel=0.25)  # and counterclockwise
    assert np.rad2deg(feature["properties"]["yaw"]) == pytest.approx(30, abs=5)
    assert feature["properties"]["center"] == pytest.approx([2, 3, 1.05], abs=0.03)
    low, high = np.array(feature["bbox"][:3]), np.array(feature["bbox"][3:])
    assert (low <= ring.min(axis=0) + 0.1).all() and (high >= ring[:, :].max(axis=0) - 0.1).all()
    assert feature["properties"]["evidence"] == {"bread board": 3.5, "cup": 1.0}


def test_without_rerun_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(
        PerceptionError, match=r"rerun, which is not installed; install it with `pip install rerun-sdk`"
    ):
        write_rerun(tmp_path / "map.rrd", map_examples.map_state(), POINTS, COLOURS)
    assert list(tmp_path.iterdir()) == []


class Recording:
    """As rerun's RecordingStream: keeps what is logged, and makes the file."""

    logged: dict[str, Any]

    def __init__(self, name: str) -> None:
        Recording.logged = {}

    def save(self, path: str) -> None:
        Path(path).write_bytes(b"RRF2")

    def log(self, entity: str, what: Any, *, static: bool) -> None:
        self.logged[entity] = what

    def flush(self) -> None:
        pass

    def disconnect(self) -> None:
        pass


def test_a_recording_has_cloud_boxes_and_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kept(*positional: Any, **named: Any) -> tuple[Any, ...]:
        return (*positional, named)

    double = SimpleNamespace(
        RecordingStream=Recording,
        ViewCoordinates=SimpleNamespace(RIGHT_HAND_Z_UP="z up"),
        Points3D=kept,
        Boxes3D=kept,
        Quaternion=kept,
        EncodedImage=kept,
    )
    monkeypatch.setitem(sys.modules, "rerun", double)
    write_rerun(tmp_path / "map.rrd", map_examples.map_state(objects=2), POINTS, COLOURS)
    assert [file.name for file in tmp_path.iterdir()] == ["map.rrd"]
    logged = Recording.logged
    assert set(logged) == {"map", "map/cloud", "map/objects", "objects/1", "objects/2"}
    boxes = logged["map/objects"][-1]
    assert boxes["labels"] == ["mug 1", "mug 2"]
    np.testing.assert_allclose(boxes["centers"], [(0, 0, 0), (1, 0, 0)], atol=0.03)
    assert logged["objects/2"][-1]["contents"] == map_examples.jpeg(2)
