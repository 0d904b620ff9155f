"""household-lit put together of its parts, and the refusal to mix spaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from perception_contrast.cli.models_command import main as models_command
from perception_contrast.core.cache import sha256_of
from perception_contrast.core.errors import ModelError, SpaceError
from perception_contrast.encoders.alignment_head import (
    AlignmentConfig,
    AlignmentHead,
    load_alignment,
    save_alignment,
    word_space,
)
from perception_contrast.encoders.dinov2 import DinoTower
from perception_contrast.encoders.household_lit import PACKAGED, learned_from, load_household_lit
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.models.registry import model_spec
from perception_contrast.text.base import TextEncoder

WIDTH, TEXT = 24, 12


class Sentences(TextEncoder):
    """Vectors that follow from a phrase's length."""

    model, space, dim, wording = "sentences", "sentences@1", TEXT, ""

    def canonical(self, text: str) -> str:
        return text.lower()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = [np.random.default_rng(len(text)).standard_normal(TEXT) for text in texts]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


@pytest.fixture(scope="module")
def tower() -> DinoTower:
    torch.manual_seed(0)
    vit = VisionTransformer(
        img_size=70, patch_size=14, embed_dim=WIDTH, depth=4, num_heads=2, init_values=1.0, num_classes=0
    )
    return DinoTower(vit, replace(model_spec("dinov2-s14"), dim=WIDTH), "dinov2-s14@aaa").eval()


@pytest.fixture(scope="module")
def head_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("head") / "head.safetensors"
    config = AlignmentConfig(
        layers=(1, 3), image_dim=WIDTH, text_dim=TEXT, width=16, fine_width=8, dim=10, blocks=1
    )
    save_alignment(AlignmentHead(config), path, {"image_space": "dinov2-s14@aaa"})
    return path


def test_one_forward_pass_of_the_tower_serves_both(tower: DinoTower, head_file: Path) -> None:
    lit = load_household_lit(tower, Sentences(), path=head_file)
    images = torch.randn(2, 3, 42, 70)
    with torch.inference_mode():
        tokens, cls, grid, image, _ = lit.image_encoder.encode(images)
        alone = tower(images)
    assert grid.shape == (2, 6, 10, 10) and image.shape == (2, 10)
    assert torch.equal(tokens, alone.tokens) and torch.equal(cls, alone.cls)
    torch.testing.assert_close(grid.norm(dim=-1), torch.ones(2, 6, 10))


def test_its_space_is_that_of_the_head(tower: DinoTower, head_file: Path) -> None:
    lit = load_household_lit(tower, Sentences(), path=head_file)
    assert lit.space == lit.text.space == f"household-lit@{sha256_of(head_file)[:12]}"
    assert (lit.model, lit.dim) == ("household-lit", 10)


def test_words_go_through_the_heads_adapter(tower: DinoTower, head_file: Path) -> None:
    lit = load_household_lit(tower, Sentences(), path=head_file)
    head, _, _ = load_alignment(head_file)
    vectors = lit.text.encode(["mug", "a table"])
    with torch.no_grad():
        expected = head.text_embedding(torch.from_numpy(Sentences().encode(["mug", "a table"])))
    assert np.allclose(vectors, expected.numpy(), atol=1e-6)


def test_a_head_fitted_to_other_towers_is_refused(tower: DinoTower, head_file: Path, tmp_path: Path) -> None:
    head, facts, _ = load_alignment(head_file)
    for key in ("image_space", "text_space"):
        path = tmp_path / f"{key}.safetensors"
        save_alignment(head, path, {"image_space": facts["image_space"], key: "other@bbb"})
        with pytest.raises(SpaceError, match="other@bbb"):
            load_household_lit(tower, Sentences(), path=path)


def test_a_head_that_is_absent_or_damaged_is_one_line(
    tower: DinoTower, head_file: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(head_file.read_bytes()[:-5])
    for path in (damaged, tmp_path / "absent.safetensors"):
        with pytest.raises(ModelError, match=path.name) as caught:
            load_household_lit(tower, Sentences(), path=path)
        assert "\n" not in str(caught.value)


def test_a_part_is_its_whole_and_a_colour_is_not_lost_in_the_words() -> None:
    """What docs/ask_for_objects.md says of phrases such as "handle of a mug" and "red mug"."""
    try:
        language = load_encoders("dinov2-s14", "household-lit", offline=True).language
    except ModelError as error:
        pytest.skip(f"household-lit is not in the cache: {error}")
    assert language is not None
    names = language.text.encode(["mug", "chair", "bottle", "knife", "door handle", "blue mug"])
    parts = language.text.encode(["handle of a mug", "leg of a chair", "lid of a bottle"])
    cosines = parts @ names[:5].T
    assert cosines.argmax(axis=1).tolist() == [0, 1, 2] and np.diag(cosines).min() > 0.8
    red = language.text.encode(["red mug"])[0]
    assert (names[:5] @ red).argmax() == 0 and names[0] @ red < 0.9 and names[5] @ red < names[0] @ red


@pytest.mark.parametrize("name", sorted(PACKAGED))
def test_every_packaged_model_has_its_own_heads_and_says_what_they_learned_from(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        lit = load_encoders("dinov2-s14", name, offline=True).language
    except ModelError as error:
        pytest.skip(f"{name} is not in the cache: {error}")
    assert lit is not None
    assert (lit.model, lit.text.model) == (name, name)
    assert lit.space == f"{name}@{sha256_of(PACKAGED[name].alignment)[:12]}"
    assert lit.rescoring is not None and lit.rescoring.facts["word_space"] == word_space(lit.head)
    assert models_command(["info", name]) == 0
    told = capsys.readouterr().out
    learned = learned_from(name)
    assert all(line in told for line in learned) and "rendered rooms" in learned
    assert ("photographs" in " ".join(learned)) == (name == "household-lit")
