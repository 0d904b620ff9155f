"""Where Open3D is absent or broken, the error names the remedy, and the rest of the map imports."""

from __future__ import annotations

import subprocess
import sys
from unittest.mock import MagicMock

import pytest

from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.geometry import open3d_library


@pytest.fixture(autouse=True)
def not_yet_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "open3d", raising=False)


def test_without_open3d_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open3d_library.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PerceptionError, match="not installed; run `make setup`"):
        open3d_library.open3d()


def test_a_missing_system_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> object:
        raise ImportError("libusb-1.0.so.0: cannot open shared object file")

    monkeypatch.setattr(open3d_library.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(
        open3d_library.importlib, "import_module", lambda name: broken(name) if name == "open3d" else None
    )
    with pytest.raises(PerceptionError, match=r"libusb-1.0.so.0.*apt-get install libusb"):
        open3d_library.open3d()


@pytest.mark.parametrize("torch_is_there", [True, False])
def test_torch_is_imported_first_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, torch_is_there: bool
) -> None:
    order: list[str] = []

    def imported(name: str) -> MagicMock:
        order.append(name)
        return MagicMock()

    specs = {"open3d": object(), "torch": object() if torch_is_there else None}
    monkeypatch.setattr(open3d_library.importlib.util, "find_spec", specs.get)
    monkeypatch.setattr(open3d_library.importlib, "import_module", imported)
    open3d_library.open3d()
    assert order == (["torch", "open3d"] if torch_is_there else ["open3d"])
    order.clear()
    open3d_library.open3d(alone=True)
    assert order == ["open3d"]


def test_the_map_imports_neither_open3d_nor_torch() -> None:
    program = (
        "import sys, perception_contrast.mapping.geometry.surface; "
        "import perception_contrast.mapping.language.far_rays; "
        "print({'open3d', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
