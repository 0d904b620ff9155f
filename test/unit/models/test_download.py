"""Downloads that break off, continue, change and come damaged. No network beyond this machine."""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from fake_hub import Line, fake_hub, point_at
from safetensors.torch import save

from perception_contrast.cli.main import EXIT_ERROR, main
from perception_contrast.core.cache import sha256_of
from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.dinov2 import load_dino
from perception_contrast.models import download
from perception_contrast.models.hub import cached_hub_files, download_hub_files
from perception_contrast.models.registry import MODELS, model_spec
from perception_contrast.models.specs import HubFile

REPO, NAME = "some/model", "model.safetensors"
SOURCE = HubFile(REPO)
DATA = save({"x": torch.arange(100_000.0)})
HALF = 150_000


def parts(folder: Path) -> list[Path]:
    return list(folder.rglob("*.part"))


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder in which a download broke off half-way."""
    with fake_hub(REPO, {NAME: DATA}, line=Line(drop_after=HALF)) as address:
        point_at(monkeypatch, address)
        with pytest.raises(ModelError) as caught:
            download_hub_files(SOURCE, tmp_path)
    text = str(caught.value)
    assert "\n" not in text and NAME in text
    assert "0.1 MB of 0.4 MB are here" in text or "0.2 MB of 0.4 MB are here" in text
    assert "running it again continues" in text
    assert [part.stat().st_size for part in parts(tmp_path)] == [HALF]
    assert cached_hub_files(SOURCE, tmp_path) is None, "half a file is no weights file"
    return tmp_path


def fetched(folder: Path) -> Path:
    (path,) = download_hub_files(SOURCE, folder)
    assert not parts(folder)
    return path


def test_a_download_that_broke_off_is_continued(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line()
    with fake_hub(REPO, {NAME: DATA}, line=line) as address:
        point_at(monkeypatch, address)
        assert fetched(broken).read_bytes() == DATA
        assert line.asked == [f"bytes={HALF}-"], "the first half is not fetched again"
        fetched(broken)
    assert len(line.asked) == 1, "what is here is not asked for again"


def test_a_line_that_breaks_again_and_again_gets_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(drop_after=HALF)
    with fake_hub(REPO, {NAME: DATA}, line=line) as address:
        point_at(monkeypatch, address)
        for _ in range(len(DATA) // HALF):
            with pytest.raises(ModelError, match="continues"):
                download_hub_files(SOURCE, tmp_path)
        assert fetched(tmp_path).read_bytes() == DATA
    assert line.asked == ["", f"bytes={HALF}-", f"bytes={2 * HALF}-"]


def test_a_server_without_ranges_sends_it_anew(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_hub(REPO, {NAME: DATA}, line=Line(ranges=False)) as address:
        point_at(monkeypatch, address)
        assert fetched(broken).read_bytes() == DATA


def test_a_file_that_changed_meanwhile_is_not_continued(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, line = save({"x": torch.ones(90_000)}), Line()
    with fake_hub(REPO, {NAME: other}, line=line) as address:
        point_at(monkeypatch, address)
        assert fetched(broken).read_bytes() == other
    assert line.asked == [""]


def test_a_damaged_part_is_refused_and_deleted_and_then_comes_whole(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (part,) = parts(broken)
    damaged = bytearray(part.read_bytes())
    damaged[1000] ^= 1
    part.write_bytes(damaged)
    with fake_hub(REPO, {NAME: DATA}) as address:
        point_at(monkeypatch, address)
        with pytest.raises(ModelError, match=r"came damaged.*try again") as caught:
            download_hub_files(SOURCE, broken)
        assert "\n" not in str(caught.value)
        assert not parts(broken) and cached_hub_files(SOURCE, broken) is None
        assert fetched(broken).read_bytes() == DATA


@pytest.mark.parametrize("extra", [0, 10])
def test_a_part_that_is_as_long_as_the_file_or_longer(
    extra: int, broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (part,) = parts(broken)
    part.write_bytes(DATA + bytes(extra))
    line = Line()
    with fake_hub(REPO, {NAME: DATA}, line=line) as address:
        point_at(monkeypatch, address)
        assert fetched(broken).read_bytes() == DATA
    assert line.asked == ([""] if extra else [])


def test_a_full_disk_is_told_before_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    line = Line()
    with fake_hub(REPO, {NAME: DATA}, line=line) as address:
        point_at(monkeypatch, address)
        with pytest.raises(ModelError, match=r"needs 0\.4 MB more.*0\.0 MB free"):
            download_hub_files(SOURCE, tmp_path)
    assert line.asked == []


def test_two_at_once_fetch_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks belong to an open file, so two threads stand for two processes."""
    line = Line()
    with fake_hub(REPO, {NAME: DATA}, line=line) as address, ThreadPoolExecutor(4) as pool:
        point_at(monkeypatch, address)
        found = list(pool.map(lambda _: download_hub_files(SOURCE, tmp_path), range(4)))
    assert {path.read_bytes() for (path,) in found} == {DATA}
    assert line.asked == [""]


def test_the_hubs_own_client_finds_what_was_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import scan_cache_dir, try_to_load_from_cache

    files = {NAME: DATA, "tokenizer.json": b"{}"}
    git = hashlib.sha1(b"blob 2\0{}").hexdigest()
    with fake_hub(REPO, files, claimed={"tokenizer.json": git}) as address:
        point_at(monkeypatch, address)
        paths = download_hub_files(replace(SOURCE, others=("tokenizer.json",)), tmp_path)
    assert [str(p) for p in paths] == [try_to_load_from_cache(REPO, n, cache_dir=tmp_path) for n in files]
    (scanned,) = scan_cache_dir(tmp_path).repos
    assert scanned.repo_id == REPO and scanned.size_on_disk == len(DATA) + 2


def test_a_small_file_with_another_git_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_hub(REPO, {NAME: DATA}, claimed={NAME: "0" * 40}) as address:
        point_at(monkeypatch, address)
        with pytest.raises(ModelError, match="came damaged"):
            download_hub_files(SOURCE, tmp_path)


def test_the_pickled_file_is_taken_where_there_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = replace(SOURCE, fallback="weights.bin")
    with fake_hub(REPO, {"weights.bin": DATA}) as address:
        point_at(monkeypatch, address)
        (path,) = download_hub_files(source, tmp_path)
    assert path.name == "weights.bin" and cached_hub_files(source, tmp_path) == (path,)
    with fake_hub(REPO, {}) as address:
        point_at(monkeypatch, address)
        with pytest.raises(ModelError, match=r"cannot fetch weights\.bin of some/model"):
            download_hub_files(source, tmp_path / "empty")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_a_log_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    with download.progress_meter("weights", 250, 1000, lines.append) as came:
        for _ in range(75):
            came(10)
    assert len(lines) == 8 and lines[0].startswith("weights: 30 %") and lines[-1].startswith("weights: 100 %")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with download.progress_meter("weights", 2_000_000, 4_000_000, lines.append) as came:
        came(2_000_000)
    assert "weights" in terminal.getvalue() and "4.0/4.0 MB" in terminal.getvalue()
    assert len(lines) == 8


def test_models_get_says_the_licence_first_and_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command itself, on a real model's weights that then serve."""
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path))
    spec = model_spec("pe-spatial-t16")
    assert spec.hub is not None and "pe-spatial-t16" in MODELS
    restrictive = replace(spec, licence="CC-BY-NC-4.0")
    monkeypatch.setitem(MODELS, spec.name, restrictive)
    network = timm.create_model(spec.arch, num_classes=0)
    weights = save({name: value.contiguous() for name, value in network.state_dict().items()})
    line = Line(drop_after=len(weights) // 2)
    with fake_hub(spec.hub.repo, {NAME: weights}, line=line) as address:
        point_at(monkeypatch, address)
        assert main(["models", "get", spec.name]) == EXIT_ERROR
        output = capsys.readouterr()
        assert (
            output.out.index("licence CC-BY-NC-4.0") < output.out.index("WARNING: ") < output.out.index("%")
        )
        assert output.err.startswith("error: ") and output.err.count("\n") == 1
        assert "models get" not in output.err and "running it again continues" in output.err
        line.drop_after = None
        assert main(["models", "get", spec.name]) == 0
    assert line.asked == ["", f"bytes={len(weights) // 2}-"]
    tower = load_dino(spec.name, offline=True)
    digest = hashlib.sha256(weights).hexdigest()
    assert tower.space == f"{spec.name}@{digest[:12]}"
    stated = capsys.readouterr().out.strip().splitlines()[-1].partition(": ")[2]
    assert sha256_of(Path(stated)) == digest
