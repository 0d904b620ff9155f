"""bench-map: what it measures adds up, and its corridor shows new ground at each place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perception_contrast.bench.mapping import map_bench
from perception_contrast.bench.mapping.corridor import Corridor
from perception_contrast.bench.mapping.grid_bench import measure_grid
from perception_contrast.bench.mapping.map_bench import MapBenchOptions, measure_map
from perception_contrast.cli import bench_map_command
from perception_contrast.mapping.language.frame_pooling import pool_frame


def test_neighbours_share_no_voxel_and_a_place_is_always_the_same() -> None:
    corridor = Corridor(4)
    views = [
        pool_frame(corridor.frame(number, stamp), 0.05)
        for number, stamp in ((0, 0), (1, 1), (200, 2), (0, 3))
    ]
    here, beside, above, again = ({tuple(key) for key in view.keys.tolist()} for view in views)
    assert here == again and not here & beside and not here & above
    assert 2_300 < len(here) < 2_900
    assert 16_000 < len(views[0].points) < 18_000


def test_the_map_has_the_size_and_memory_that_the_report_states() -> None:
    report = measure_map(MapBenchOptions((5_000, 20_000), rounds=1, channels=8, surface=False))
    first, second = report["sizes"]["5000"], report["sizes"]["20000"]
    # A frame brings up to 2,900.
    assert 5_000 <= first["voxels"] < 9_000 and 20_000 <= second["voxels"] < 24_000
    # Two bytes a channel, 28 for the columns and 12 for the index.
    assert first["bytes_a_voxel"] == pytest.approx(2 * 8 + 28 + 12, abs=1)
    assert report["worst_frame_ms"] >= second["known"]["frame_max_ms"] >= second["known"]["frame_ms"] > 0
    assert report["worst_insert_ms"] < report["worst_frame_ms"]
    assert report["surface"] == {"skipped": "not asked for"}
    assert second["known"]["carving_ms"] + second["known"]["store_ms"] < second["known"]["frame_ms"]
    objects = report["objects"]
    assert objects["objects"] == 1000 and objects["query_ms"]["100"] > 0 and objects["find_ms"] > 0


def test_the_command_prints_its_figures_and_writes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_bench, "_SURFACE_FRAMES", 2)
    file = tmp_path / "map.json"
    arguments = ["--sizes", "3000", "--rounds", "1", "--channels", "4", "--json", str(file)]
    assert bench_map_command.main(arguments) == 0
    report, text = json.loads(file.read_text()), capsys.readouterr().out
    assert "3000 voxels: a frame on known ground" in text and "worst frame" in text
    assert f"{report['sizes']['3000']['known']['frame_ms']:.1f} ms" in text
    assert "1000 objects: 1 text " in text and "100 texts " in text
    assert "skipped" in report["surface"] or report["surface"]["blocks"] > 100


def test_the_grid_of_a_house_is_larger_and_the_thing_on_the_table_is_approached() -> None:
    figures = measure_grid()
    assert figures["house_cells"] > 10 * figures["room_cells"]
    assert figures["room_max_ms"] >= figures["room_ms"] > 0
    assert figures["approach_ms"] > 0
