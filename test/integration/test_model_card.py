"""The model card says what the code does, and its figures are those of the head that is served."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from perception_contrast.core.cache import sha256_of
from perception_contrast.models.image_models import DINOV2_S14_WHEEL
from perception_contrast.models.registry import MINILM
from perception_contrast_sim.objects.catalogue import UNSEEN_PAIRS, catalogue

HEAD = Path("perception_contrast/models/data/household_lit_rendered.safetensors")
CARD = Path("docs/model_card_household_lit.md")


@pytest.fixture
def figures_table(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(repository / "scripts"))
    yield importlib.import_module("figures_table")
    sys.modules.pop("figures_table", None)


def _measured(category: float, absent: float) -> dict[str, Any]:
    """In the shape of the evaluation's ``measure_all``."""
    return {
        "unseen scenes": {
            "iou": {"category": category, "category, small": 0.1, "held-out synonym": 0.5},
            "questions": {"category": 300, "category, small": 40, "held-out synonym": 20, "absent name": 900},
            "ap50": 0.25,
            "ap50_categories": 120,
            "fired_when_absent": {"absent name": absent},
            "found_when_present": 0.875,
        },
        "held out": {
            "iou": {"words": 0.125, "1 exemplar": 0.5},
            "questions": {"words": 30, "1 exemplar": 28},
        },
    }


def _cells(text: str, title: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {title} |")]
    return [cell.strip() for cell in line.strip("|").split("|")[1:]]


def test_the_table_holds_every_figure_of_every_head(figures_table: ModuleType, tmp_path: Path) -> None:
    source, card = tmp_path / "figures.json", tmp_path / "card.md"
    figures = {
        "head": "ab" * 32,
        "household-lit": _measured(0.6, 0.0712),
        "untrained head": _measured(0.0, 1.0),
    }
    source.write_text(json.dumps(figures))
    card.write_text("# Card\n\n<!-- figures -->\nstale\n<!-- /figures -->\n\nafter\n")
    for _ in range(2):  # a second run replaces what the first one wrote
        assert figures_table.main([str(source), str(card)]) == 0
    text = card.read_text()
    assert (
        text.startswith("# Card\n") and text.endswith("<!-- /figures -->\n\nafter\n") and "stale" not in text
    )
    assert text.count("| IoU, category |") == 1 and "`abababababab`" in text
    assert _cells(text, "IoU, category") == ["300", "0.600", "0.000"]
    assert _cells(text, "absent name reported") == ["900", "7.1 %", "100.0 %"]
    assert _cells(text, "present categories reported") == ["300", "87.5 %", "87.5 %"]
    assert _cells(text, "IoU, held-out category, by 1 exemplar") == ["28", "0.500", "0.500"]


@pytest.mark.parametrize(
    ("stored", "card"),
    [
        ("{}", "<!-- figures --><!-- /figures -->"),
        ("{", "<!-- figures --><!-- /figures -->"),
        (None, "no marker"),
    ],
)
def test_a_card_is_left_alone_when_something_is_wrong(
    figures_table: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    stored: str | None,
    card: str,
) -> None:
    source, target = tmp_path / "figures.json", tmp_path / "card.md"
    source.write_text(stored or json.dumps({"head": "00" * 32, "household-lit": _measured(0.5, 0.5)}))
    target.write_text(card)
    assert figures_table.main([str(source), str(target)]) == 2
    assert target.read_text() == card
    assert capsys.readouterr().err.startswith("figures_table: ")


def test_the_card_states_the_data_and_the_towers_that_the_code_uses(repository: Path) -> None:
    text = " ".join((repository / CARD).read_text().split())
    held_out = [category.name for category in catalogue() if category.held_out]
    assert f"{len(catalogue()) - len(held_out)} categories" in text
    assert ", ".join(held_out) in text
    assert f"{len(UNSEEN_PAIRS)} pairs" in text
    for sha256 in (DINOV2_S14_WHEEL.members[0][1], DINOV2_S14_WHEEL.converted, MINILM.wheel.members[0][1]):
        assert sha256 in text


def test_the_figures_in_rooms_are_of_the_head_in_the_package(repository: Path) -> None:
    found = re.search(r"^Head `([0-9a-f]{12})`", (repository / CARD).read_text(), re.MULTILINE)
    if not found or not (repository / HEAD).is_file():
        pytest.skip("no figures in the card, or no head in the package")
    assert found[1] == sha256_of(repository / HEAD)[:12]
