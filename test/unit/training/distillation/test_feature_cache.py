"""The cache of teachers' features: bounded, undamaged, and of use in a run that it cannot hold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from perception_contrast.core.errors import StorageError
from perception_contrast_training.distillation import feature_cache
from perception_contrast_training.distillation.feature_cache import FeatureCache, Features

ENTRY = 448e-9  # gigabytes of a file of ``_features``, a little more than it takes


def _features(seed: int) -> Features:
    chance = torch.Generator().manual_seed(seed)
    return {
        "tokens": torch.randn(4, 4, 8, generator=chance).half(),
        "cls": torch.randn(8, generator=chance).half(),
    }


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _fill(cache: FeatureCache, keys: range) -> None:
    for key in keys:
        if cache.get("a", f"{key:04}") is None:
            cache.put("a", f"{key:04}", _features(key))


def test_what_was_kept_comes_back_bit_for_bit_in_a_new_run(tmp_path: Path) -> None:
    _fill(FeatureCache(tmp_path, 1), range(3))
    again = FeatureCache(tmp_path, 1)
    for key in range(3):
        found = again.get("a", f"{key:04}")
        assert found is not None
        assert all(torch.equal(found[name], value) for name, value in _features(key).items())
    assert again.get("another teacher", "0000") is None
    assert (again.hits, again.misses) == (3, 1)


def test_it_never_takes_more_than_it_may_and_still_gives_back(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, 5.5 * ENTRY)
    for _ in range(3):  # passes over more views than fit
        _fill(cache, range(20))
        assert _bytes(tmp_path) <= 5.5e9 * ENTRY
        assert cache.bytes == _bytes(tmp_path)
    assert cache.hits == 2 * 5


def test_files_of_earlier_runs_go_first_the_oldest_of_them(tmp_path: Path) -> None:
    _fill(FeatureCache(tmp_path, 4.5 * ENTRY), range(4))
    for age, path in enumerate(sorted(tmp_path.rglob("*.features"))):
        os.utime(path, (1000 + age, 1000 + age))
    count = len(list(tmp_path.rglob("*.features")))
    cache = FeatureCache(tmp_path, 4.5 * ENTRY)
    assert cache.get("a", "0000") is not None  # the oldest, but this run uses it
    cache.put("a", "0099", _features(99))
    left = {path.stem for path in tmp_path.rglob("*.features")}
    assert "0000" in left and "0099" in left and "0001" not in left
    assert len(left) == count


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_file_is_made_again(damage: str, tmp_path: Path) -> None:
    _fill(FeatureCache(tmp_path, 1), range(1))
    (path,) = tmp_path.rglob("*.features")
    good = path.read_bytes()
    bad = {"cut": good[:-9], "flipped": good[:-1] + bytes([good[-1] ^ 1]), "empty": b""}[damage]
    path.write_bytes(bad)
    cache = FeatureCache(tmp_path, 1)
    assert cache.get("a", "0000") is None
    assert not path.exists()
    cache.put("a", "0000", _features(0))
    assert path.read_bytes() == good
    assert cache.bytes == _bytes(tmp_path)


def test_a_full_disk_stops_the_keeping_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    cache = FeatureCache(tmp_path, 1)
    monkeypatch.setattr(feature_cache, "atomic_write", full)
    _fill(cache, range(3))
    assert cache.get("a", "0000") is None
    assert caplog.text.count("no space for features") == 1


def test_a_folder_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = FeatureCache(tmp_path / "file", 1)
    with pytest.raises(StorageError, match=r"options\.cache\.folder"):
        cache.put("a", "0000", _features(0))


def test_no_gigabytes_keep_nothing(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "none", 0)
    _fill(cache, range(2))
    assert not (tmp_path / "none").exists()
