"""The side of words of a head: its space, and a fit that leaves it as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from alignment_batches import SETTINGS, Sentences, maker
from safetensors.torch import load_file

from perception_contrast.encoders.alignment_head import (
    TRAINED_ABSENT,
    AlignmentHead,
    load_alignment,
    save_alignment,
    word_space,
)
from perception_contrast_training.config.alignment_recipe import AlignmentOptimisation, AlignmentRecipe
from perception_contrast_training.config.run_settings import CheckpointSettings
from perception_contrast_training.household.alignment.alignment_training import AlignmentFit
from perception_contrast_training.household.sentences import SentenceBank

SPACES = {"image_space": "tower@1", "text_space": "sentences@1"}


@pytest.fixture
def start(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    head = AlignmentHead().remembering(torch.nn.functional.normalize(torch.randn(5, 384), dim=-1))
    path = tmp_path / "start.safetensors"
    save_alignment(head, path, {"names": "[]", "calibration": "{}", **SPACES})
    return path


def fit(output: Path, start: Path, only: str, about: Mapping[str, str] | None = None) -> Path:
    optimisation = AlignmentOptimisation(steps=4, warm_up=1, precision="float32")
    recipe = AlignmentRecipe(
        output=str(output), start=str(start), only=only, batch=SETTINGS, optimisation=optimisation,
        checkpoints=CheckpointSettings(every=4),
    )  # fmt: skip
    return AlignmentFit(recipe, SentenceBank(Sentences()), maker(), about).run(SPACES)


def test_only_the_image_side_is_fitted_and_words_stay_in_their_space(tmp_path: Path, start: Path) -> None:
    path = fit(tmp_path / "run", start, "image")
    before, after = load_file(start), load_file(path)
    same = {name for name in before if torch.equal(before[name], after[name])}
    words = {name for name in before if name.startswith(("text.", "text_skip.")) or name == "known"}
    assert words <= same and {"enter.weight", "leave.weight", "blocks.0.up.weight"} <= set(before) - same
    old, new = load_alignment(start), load_alignment(path)
    assert word_space(old[0]) == word_space(new[0])
    # Scores are others now: what was fitted to the old ones is not taken along.
    assert "calibration" in old[1] and "calibration" not in new[1]


def test_the_space_of_words_is_that_of_their_vectors_alone(start: Path) -> None:
    head, _, _ = load_alignment(start)
    space = word_space(head)
    with torch.no_grad():
        head.leave.weight += 1.0
    assert word_space(head) == space
    assert word_space(head.remembering(head.known[:2])) != space
    signed = [head.remembering(head.known.clone()) for _ in range(2)]
    for one, zero in zip(signed, (0.0, -0.0), strict=True):
        one.known[0, 0] = zero
    assert word_space(signed[0]) == word_space(signed[1])
    for name in ("text.0.bias", "text_skip.weight"):
        other = AlignmentHead(replace(head.config))
        other.load_state_dict(head.state_dict())
        with torch.no_grad():
            dict(other.named_parameters())[name].flatten()[0] += 0.25
        assert word_space(other) != space, name


def test_a_head_that_goes_on_from_one_that_learned_from_photographs_says_so(
    tmp_path: Path, start: Path
) -> None:
    head, facts, _ = load_alignment(start)
    kept = {key: text for key, text in facts.items() if key not in ("format", "config")}
    learned = [{"set": "nyuv2", "photographs": 600, "licence": "research"}]
    kept |= {"names": '["mug"]', "learned_from": json.dumps(learned), TRAINED_ABSENT: '["tank", "tiger"]'}
    save_alignment(head, start, kept)
    own = {"set": "mine", "photographs": 3, "licence": "own"}
    about = {
        "names": '["chair", "mug"]', "learned_from": json.dumps([own]), TRAINED_ABSENT: '["person", "tiger"]'
    }  # fmt: skip
    _, after, _ = load_alignment(fit(tmp_path / "run", start, "image", about))
    assert json.loads(after["learned_from"]) == [*learned, own]
    assert json.loads(after["names"]) == ["mug", "chair"]
    assert json.loads(after[TRAINED_ABSENT]) == ["tiger"], "the first run showed persons"
    rooms = {TRAINED_ABSENT: '["person", "tank", "tiger"]'}
    _, alone, _ = load_alignment(fit(tmp_path / "rooms", start, "", rooms))
    assert json.loads(alone["learned_from"]) == learned
    assert json.loads(alone[TRAINED_ABSENT]) == ["tank", "tiger"]
