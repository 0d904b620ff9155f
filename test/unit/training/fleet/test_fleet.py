"""Work on a Ray cluster: the same result as in one process, also where workers die."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.bench.synthetic_frames import SyntheticFrames
from perception_contrast_training.embedding.run import embed
from perception_contrast_training.embedding.settings import EmbedSettings
from perception_contrast_training.fleet.map_items import Where, map_items

SETTINGS = EmbedSettings("thumbnail", batch=16, part_frames=16)


@dataclass(frozen=True)
class DyingFrames(SyntheticFrames):
    """Whoever reads the second part first is killed in the middle of it."""

    mark: str = ""

    def frames(self, start: int, stop: int | None) -> Any:
        for item in super().frames(start, stop):
            if item.index == 20 and not Path(self.mark).exists():
                Path(self.mark).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield item


@pytest.fixture(autouse=True, scope="module")
def sent_with_their_code() -> None:
    """Workers cannot import what pytest imports."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("ray_cluster")
class TestRay:
    def test_a_killed_worker_changes_nothing(self, tmp_path: Path) -> None:
        whole, where = SyntheticFrames(100), Where(ray="local")
        embed([whole], tmp_path / "one.parquet", SETTINGS)
        seen: list[int] = []
        dying = DyingFrames(100, mark=str(tmp_path / "died"))
        embed([dying], tmp_path / "ray.parquet", SETTINGS, where=where, advance=lambda n, _: seen.append(n))
        assert (tmp_path / "died").exists() and seen[-1] == 100
        assert (tmp_path / "ray.parquet").read_bytes() == (tmp_path / "one.parquet").read_bytes()

    def test_an_error_is_the_result_of_its_item(self) -> None:
        def work(item: int, _: Any) -> int:
            if item == 2:
                raise PerceptionError("item 2 is bad")
            return 10 * item

        found = dict(map_items(work, [0, 1, 2, 3], Where(ray="local", ahead=2)))
        assert str(found.pop(2)) == "item 2 is bad" and found == {0: 0, 1: 10, 3: 30}

    def test_results_wait_for_earlier_ones_and_items_for_them(self, tmp_path: Path) -> None:
        """The first item ends only when no other is sent any more."""
        last, asked = tmp_path / "last", []

        def items() -> Iterator[int]:
            for item in range(30):
                asked.append(item)
                yield item

        def work(item: int, _: Any) -> int:
            if item == 0:
                while not last.exists():
                    time.sleep(0.02)
            elif item == 4:  # behind two on their way, and those of four that wait
                last.touch()
            return item

        given = []
        for number, found in map_items(work, items(), Where(ray="local", ahead=2), ordered=True):
            given.append((number, found))
            assert len(asked) <= number + 1 + 2 + 4
        assert given == [(item, item) for item in range(30)]

    def test_a_relative_path_is_that_of_the_command(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "here.txt").write_text("found")
        monkeypatch.chdir(tmp_path)
        found = dict(map_items(lambda item, _: Path(item).read_text(), ["here.txt"], Where(ray="local")))
        assert found == {0: "found"}


def test_without_a_cluster_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PerceptionError, match="pip install ray"):
        list(map_items(lambda item, _: item, [1], Where(ray="auto")))


@pytest.mark.parametrize("named", ["127.0.0.1:1", "auto"])
def test_an_address_where_no_cluster_answers_is_told_at_once(
    named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)  # other tests have joined a cluster
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1" if named == "auto" else "")
    with pytest.raises(PerceptionError, match=r"no Ray cluster at '127\.0\.0\.1:1' .*--ray local"):
        list(map_items(lambda item, _: item, [1], Where(ray=named)))
