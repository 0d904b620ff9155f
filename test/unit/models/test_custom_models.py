"""Local weights files: taken in when they fit, refused and nothing changed when they do not."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

from perception_contrast.cli.main import EXIT_ERROR, main
from perception_contrast.core.cache import sha256_of
from perception_contrast.encoders.dinov2 import load_dino
from perception_contrast.models.registry import model_spec


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights file of dinov2-s14-reg that no hub ever gave."""
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))
    spec = model_spec("dinov2-s14-reg")
    vit = timm.create_model(spec.arch, pretrained=False, num_classes=0, img_size=spec.size)
    save_file({k: v.contiguous() for k, v in vit.state_dict().items()}, tmp_path / "own.safetensors")
    return tmp_path / "own.safetensors"


def test_a_file_that_fits_is_served_without_a_network(own: Path) -> None:
    assert main(["models", "add", "dinov2-s14-reg", str(own)]) == 0
    tower = load_dino("dinov2-s14-reg", offline=True)
    assert tower.space == f"dinov2-s14-reg@{sha256_of(own)[:12]}"


def test_a_file_of_another_model_is_refused_in_one_line(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "add", "dinov2-b14-reg", str(own)]) == EXIT_ERROR
    assert "own.safetensors" in capsys.readouterr().err
    assert not list((own.parent / "cache").rglob("weights.*"))


def test_a_damaged_file_is_refused_and_the_one_in_force_stays(own: Path) -> None:
    assert main(["models", "add", "dinov2-s14-reg", str(own)]) == 0
    before = load_dino("dinov2-s14-reg", offline=True).space
    damaged = own.with_name("damaged.safetensors")
    damaged.write_bytes(own.read_bytes()[:1000])
    assert main(["models", "add", "dinov2-s14-reg", str(damaged)]) == EXIT_ERROR
    assert load_dino("dinov2-s14-reg", offline=True).space == before
