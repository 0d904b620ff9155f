"""Files of a place in the web that is no hub: fetched once, known by the sha256 that they came with."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from perception_contrast.core.errors import ModelError
from perception_contrast.models.registry import model_spec
from perception_contrast.models.specs import ModelSpec, WebFiles
from perception_contrast.models.web_files import cached_web_files, download_web_files
from perception_contrast.models.weights import add_weights, all_weights, weights_file

HEAD, TEXT = "vision_head.pth", "text_encoder.pth"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def place(tmp_path: Path) -> Iterator[str]:
    """The address of a folder with two files."""
    (tmp_path / "served").mkdir()
    for number, name in enumerate((HEAD, TEXT)):
        torch.save({"x": torch.full((5,), float(number))}, tmp_path / "served" / name)
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path / "served"))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def served(tmp_path: Path) -> str:
    return hashlib.sha256((tmp_path / "served" / HEAD).read_bytes()).hexdigest()


def spec_of(source: WebFiles) -> ModelSpec:
    return replace(model_spec("dinotxt-v2-l14"), name="tried", web=source, companion="")


def test_all_files_come_and_are_taken_from_the_cache_afterwards(place: str, tmp_path: Path) -> None:
    source = WebFiles(place, HEAD, (TEXT,), digest=served(tmp_path)[:8])
    assert cached_web_files(source, tmp_path / "cache" / "web") is None
    told: list[str] = []
    path = weights_file(spec_of(source), cache=tmp_path / "cache", progress=told.append)
    assert path.read_bytes() == (tmp_path / "served" / HEAD).read_bytes()
    assert any("licence Apache-2.0" in line and HEAD in line for line in told)
    assert [one.name for one in all_weights(spec_of(source), path)] == [HEAD, TEXT]
    for name in (HEAD, TEXT):
        (tmp_path / "served" / name).unlink()
    assert weights_file(spec_of(source), cache=tmp_path / "cache", offline=True) == path


def test_bytes_that_are_not_the_published_ones_are_not_kept(place: str, tmp_path: Path) -> None:
    source = WebFiles(place, HEAD, digest="00000000")
    with pytest.raises(ModelError, match=r"vision_head\.pth came damaged .* published 00000000"):
        download_web_files(source, tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_file_that_changed_in_the_cache_is_refused(place: str, tmp_path: Path) -> None:
    source = WebFiles(place, HEAD, (TEXT,))
    kept = download_web_files(source, tmp_path / "cache")
    kept[1].write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"text_encoder\.pth is damaged"):
        cached_web_files(source, tmp_path / "cache")


def test_a_place_that_asks_for_more_says_what(place: str, tmp_path: Path) -> None:
    source = WebFiles(place, "gated.pth", terms="accept it first")
    with pytest.raises(
        ModelError,
        match=r"no weights for 'tried': gated\.pth: the server answered 404 .*; accept it",
    ):
        weights_file(spec_of(source), cache=tmp_path / "cache")


def test_an_added_model_takes_the_file_beside_it_along(place: str, tmp_path: Path) -> None:
    source = WebFiles(place, HEAD, (TEXT,))
    added = add_weights(spec_of(source), tmp_path / "served" / HEAD, tmp_path / "cache")
    assert [one.name for one in all_weights(spec_of(source), added)] == ["weights.pth", TEXT]
    assert weights_file(spec_of(source), cache=tmp_path / "cache", offline=True) == added
