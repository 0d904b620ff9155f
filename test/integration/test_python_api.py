"""The Python API as the README shows it: what importing costs, what is public, and the default model."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import perception_contrast as pc


def run(code: str, folder: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_loads_no_library_that_takes_long() -> None:
    code = """
import sys, perception_contrast as pc
dir(pc), pc.__version__, pc.__all__
heavy = {"torch", "numpy", "cv2", "timm", "open_clip", "transformers", "rclpy", "onnxruntime"}
print(sorted(heavy & set(sys.modules)))
"""
    assert run(code).strip() == "[]"


def test_types_are_imported_without_torch() -> None:
    code = """
import sys, perception_contrast as pc
pc.Query("mug"), pc.Vocabulary.of(["mug"]), pc.QueryError, pc.Detection, pc.Frame
print("torch" in sys.modules)
"""
    assert run(code).strip() == "False"


def test_every_public_name_is_there_and_listed() -> None:
    assert set(pc.__all__) == set(dir(pc)) and pc.__all__ == sorted(pc.__all__, key=_order)
    for name in pc.__all__:
        value = getattr(pc, name)
        assert name == "__version__" or value.__doc__, name
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = pc.nothing_like_it


def _order(name: str) -> tuple[bool, bool, str]:
    """Classes, then names with underscores, then functions, as ruff sorts them."""
    return (name[0].islower() or name[0] == "_", name[0].islower(), name)


def test_a_type_checker_sees_the_types(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api", reason="mypy is not installed")
    (tmp_path / "use.py").write_text(
        "import perception_contrast as pc\n"
        "detector = pc.load('household-lit')\n"
        "result = detector('a.png', ['mug', pc.Query('chair')])\n"
        "reveal_type(detector)\nreveal_type(result)\nreveal_type(result.masks)\n"
        "pc.load(3)\n"
    )
    said, _, _ = api.run(
        [str(tmp_path / "use.py"), "--cache-dir", str(tmp_path / "cache"), "--no-incremental"]
    )
    assert 'note: Revealed type is "perception_contrast.pipeline.detector.base.Detector"' in said
    assert (
        'note: Revealed type is "perception_contrast.pipeline.detector.detector_result.DetectorResult"'
        in said
    )
    assert "bool" in said and re.search(r'use\.py:7: error: Argument 1 to "load"', said)


@pytest.mark.slow
def test_the_readmes_snippet_runs(repository: Path, tmp_path: Path) -> None:
    text = (repository / "README.md").read_text("utf-8")
    section = text.partition("## Use it from Python")[2]
    snippet = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert snippet is not None
    from skimage import data
    from skimage.io import imsave

    imsave(tmp_path / "kitchen.jpg", data.coffee())
    code = snippet[1] + "\nprint(type(result).__name__, result.masks.shape[1:], result.features.shape)"
    assert run(code, tmp_path).splitlines()[-1].startswith("DetectorResult (400, 600)")
    assert (tmp_path / "found.png").is_file()
