"""Trained heads beside queries: one output, one vocabulary."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import encoders_of

from perception_contrast.core.errors import ModelError, SpaceError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Query
from perception_contrast.heads.head_card import HeadCard, HeadSettings, ScoreCalibration
from perception_contrast.heads.head_files import HEAD_FILE, Head, read_card, read_head, write_head
from perception_contrast.heads.head_networks import DetectionNetwork, network_of
from perception_contrast.heads.head_runner import HeadRunner
from perception_contrast.heads.registered_heads import named_head, register_head, registered_head_names
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings

ALL = OutputRequest(masks=True, detections=True, instances=True, region_features=True, overlay=True)


def _card(**changes: object) -> HeadCard:
    encoders = encoders_of("lit")
    card = HeadCard(
        "detection",
        ("cup", "bowl"),
        encoders.spatial.space,
        encoders.spatial.dim,
        56,
        settings=HeadSettings(width=16, blocks=1),
        calibration=ScoreCalibration((0.0, 1.0), (0.0, 0.9)),
    )
    return replace(card, **changes)  # type: ignore[arg-type]


def _sure(card: HeadCard, logit: float = 4.0) -> torch.nn.Module:
    """A network that finds its first class everywhere."""
    torch.manual_seed(0)
    network = network_of(card)
    if isinstance(network, DetectionNetwork):
        with torch.no_grad():
            bias = network.classes.hidden.bias
            assert bias is not None and network.quality.bias is not None
            bias[: len(bias) // len(card.classes)] = logit
            network.quality.bias.fill_(logit)
    return network.eval()


def _runner(name: str = "kitchen", **changes: object) -> HeadRunner:
    card = _card(**changes)
    return HeadRunner(Head(name, card, _sure(card)))


@pytest.fixture
def pipeline() -> Pipeline:
    made = Pipeline(
        encoders_of("lit"), PipelineSettings(short_side=56, max_tokens=64, track=False), background=False
    )
    made.set_queries([Query("mug"), Query("table")])
    return made


def _frame() -> Frame:
    return Frame(np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8))


def test_classes_of_a_head_stand_beside_the_queries(pipeline: Pipeline) -> None:
    version = pipeline.vocabulary.version
    vocabulary = pipeline.set_heads([_runner()])
    assert vocabulary.labels == ("mug", "table", "cup", "bowl") and vocabulary.version > version
    result = pipeline.process(_frame(), ALL)
    assert result.detections is not None and result.masks is not None and result.instances is not None
    cups = [one for one in result.detections if one.label == "cup"]
    assert cups and "heads" in result.timings
    assert vocabulary.ids["cup"] in np.unique(result.masks)
    assert all(one.scores.probability <= 0.9 for one in cups)  # by the calibration
    assert [d.scores.probability for d in result.detections] == sorted(
        (d.scores.probability for d in result.detections), reverse=True
    )
    pipeline.set_queries([Query("plate")])
    assert pipeline.vocabulary.labels == ("plate", "cup", "bowl")
    assert pipeline.vocabulary.ids["cup"] == vocabulary.ids["cup"]
    pipeline.set_heads([])
    assert pipeline.vocabulary.labels == ("plate",)
    later = pipeline.process(_frame(), ALL)
    assert later.detections is not None and "cup" not in {one.label for one in later.detections}


def test_a_query_of_the_same_label_is_answered_by_the_head_from_its_threshold_on(pipeline: Pipeline) -> None:
    pipeline.set_heads([_runner()])
    pipeline.set_queries([Query("cup", threshold=0.95)])
    result = pipeline.process(_frame(), ALL)
    assert result.detections is not None and result.masks is not None
    assert "cup" not in {one.label for one in result.detections}  # the head is never so sure
    assert pipeline.vocabulary.ids["cup"] not in np.unique(result.masks)


def test_a_head_of_another_encoder_is_refused_and_the_old_ones_stay(pipeline: Pipeline) -> None:
    pipeline.set_heads([_runner()])
    with pytest.raises(SpaceError, match="'other' was trained on features of dinov2-b14@1"):
        pipeline.set_heads([_runner("other", space="dinov2-b14@1", classes=("fork",))])
    with pytest.raises(ModelError, match="both have the class 'cup'"):
        pipeline.set_heads([_runner("one"), _runner("two")])
    assert pipeline.vocabulary.trained == ("cup", "bowl")


@pytest.mark.parametrize("task", ["segmentation", "classification"])
def test_heads_of_pixels_and_of_whole_images(pipeline: Pipeline, task: str) -> None:
    pipeline.set_heads([_runner(task=task)])
    result = pipeline.process(_frame(), ALL)
    assert result.detections is not None and result.masks is not None
    found = [one for one in result.detections if one.label in ("cup", "bowl")]
    if task == "classification":
        assert [one.box for one in found] == [(0, 0, 80, 60)] * len(found) and found
        assert sum(one.scores.probability for one in found) <= 1.0 + 1e-6


def test_a_head_survives_its_file_and_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))
    card = _card(facts={"model": "lit"})
    network = _sure(card)
    write_head(tmp_path / "run" / HEAD_FILE, card, network)
    back = read_head(tmp_path / "run" / HEAD_FILE)
    assert back.card == card and back.name == "run"
    for one, other in zip(network.state_dict().values(), back.network.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    register_head("kitchen", tmp_path / "run")
    assert registered_head_names() == ("kitchen",)
    assert named_head("kitchen").card == card
    with pytest.raises(ModelError, match="there is no head 'kitchn'; there are kitchen"):
        named_head("kitchn")


@pytest.mark.parametrize("damage", ["text", "cut", "other", "sizes"])
def test_a_damaged_head_is_refused_in_a_line(tmp_path: Path, damage: str) -> None:
    from safetensors.torch import save_file

    path = tmp_path / HEAD_FILE
    card = _card()
    write_head(path, card, _sure(card))
    if damage == "text":
        path.write_text("no head")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "other":
        save_file({"a": torch.zeros(2)}, str(path))
    else:
        write_head(path, _card(settings=HeadSettings(width=4096)), _sure(card))
    with pytest.raises(ModelError, match="make it anew") as refused:
        read_head(path)
    assert "\n" not in str(refused.value) and str(path) in str(refused.value)


def test_a_card_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    card = _card()
    path = tmp_path / HEAD_FILE
    write_head(path, card, _sure(card))
    data = path.read_bytes()
    path.write_bytes(data.replace(b'\\"threshold\\": 0.5', b'\\"threshold\\": 1.5'))
    assert path.read_bytes() != data
    with pytest.raises(ModelError, match="threshold"):
        read_card(path)


def test_a_head_of_before_names_and_dilation_is_what_it_was(tmp_path: Path) -> None:
    card = _card(settings=HeadSettings(width=16, blocks=2, dilated=False))
    settings = json.loads(card.dumped())["settings"]
    assert HeadCard.loaded(card.dumped()).settings == card.settings
    older = json.loads(card.dumped()) | {
        "settings": {n: v for n, v in settings.items() if n not in ("named", "dilated")}
    }
    assert HeadCard.loaded(json.dumps(older)).settings == card.settings


def test_a_head_at_another_size_than_in_training_is_told(pipeline: Pipeline, caplog) -> None:
    pipeline.set_heads([_runner()])
    assert not caplog.text
    pipeline.set_heads([_runner(short_side=112)])
    assert "trained at a short side of 112 pixels and is served at 56" in caplog.text
