"""The script behind `make test-matrix`: which environments and Pythons, what it says of those not there."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement


@pytest.fixture(scope="module")
def script(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("matrix_script", repository / "scripts" / "test_matrix.py")
    assert spec is not None and spec.loader is not None
    # dataclasses look their module up by its name.
    module = sys.modules["matrix_script"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_covers_every_python_with_both_numpys(script: ModuleType) -> None:
    entries = script.MATRIX
    assert len({entry.name for entry in entries}) == len(entries) == 4
    for python in ("3.10", "3.12"):
        ranges = [Requirement(entry.numpy).specifier for entry in entries if entry.python == python]
        assert any("1.26.4" in one and "2.0.0" not in one for one in ranges)
        assert any("2.2.0" in one and "1.26.4" not in one for one in ranges)


def test_a_python_that_is_found_is_of_the_version_that_was_asked_for(script: ModuleType) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = script.find_python(version)
    if python is None:
        pytest.skip(f"this Python is not on the PATH as python{version}")
    words = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() == version


def test_a_python_that_is_not_there_is_said_and_counts_only_when_strict(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "find_python", lambda version: None)
    for words, code in (([], 0), (["--strict"], 1)):
        monkeypatch.setattr(sys, "argv", ["test_matrix.py", "--only", "py310-numpy1", *words])
        assert script.main() == code
        assert "no Python 3.10 here" in capsys.readouterr().out


def test_an_environment_knows_nothing_of_the_one_it_is_made_from(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/elsewhere")
    entry = script.MATRIX[0]
    env = script.environment(entry, tmp_path / entry.name)
    assert "/elsewhere" not in env.values()
    assert Path(env["PERCEPTION_CONTRAST_VENV"]) == tmp_path / entry.name
    assert Path(env["PERCEPTION_CONTRAST_CONSTRAINTS"]).read_text().strip() == entry.numpy
