"""The vectors that come with the package: up to date, used for their own space alone, damaged ones told."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.pipeline.queries.query_encoder import QueryEncoder
from perception_contrast.segmentation.searcher_factory import build_searcher
from perception_contrast.text import sentence_encoder
from perception_contrast.text.base import TextEncoder
from perception_contrast.text.prompt_templates import PLAIN
from perception_contrast.text.sentence_encoder import load_minilm, minilm_space
from perception_contrast.text.shipped_vectors import (
    ShippedTextEncoder,
    ShippedVectors,
    read_shipped_vectors,
    write_shipped_vectors,
)
from perception_contrast.vocabulary.vocabulary_file import named_vocabulary

ROOT = Path(__file__).resolve().parents[3]


class Letters(TextEncoder):
    """A text's vector points to its first letter."""

    model, dim, wording = "letters", 26, ""

    def __init__(self, space: str = "letters@1") -> None:
        self.space, self.encoded = space, list[str]()

    def canonical(self, text: str) -> str:
        return text.lower()

    def unknown(self, texts: Any) -> tuple[str, ...]:
        return tuple(texts)

    def encode(self, texts: Any) -> np.ndarray:
        self.encoded += texts
        return np.eye(26, dtype=np.float32)[[ord(text[0]) - ord("a") for text in texts]]


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("text_vectors", ROOT / "scripts" / "text_vectors.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_shipped_file_holds_what_a_default_node_encodes(script: ModuleType) -> None:
    assert script.problem() == "", "run scripts/text_vectors.py"
    shipped = read_shipped_vectors()
    assert shipped.space == minilm_space()
    assert np.abs(np.linalg.norm(shipped.vectors, axis=1) - 1).max() < 1e-5


def test_shipped_vectors_equal_fresh_ones() -> None:
    try:
        fresh = load_minilm(offline=True)
    except ModelError as error:
        pytest.skip(str(error))
    shipped = read_shipped_vectors()
    assert (shipped.space, shipped.wording) == (fresh.space, fresh.wording)
    texts = shipped.texts[:: len(shipped.texts) // 40]
    places = [shipped.texts.index(text) for text in texts]
    assert np.abs(shipped.vectors[places] - fresh.encode(texts)).max() < 1e-5


def test_the_default_model_serves_its_vocabularies_without_its_text_tower(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("perception_contrast.encoders.load_encoders._text_folder", lambda: tmp_path)
    made: list[object] = []
    true = sentence_encoder._minilm_of
    monkeypatch.setattr(sentence_encoder, "_minilm_of", lambda *given: made.append(given) or true(*given))
    try:
        encoders = load_encoders("dinov2-s14", "household-lit", offline=True)
    except ModelError as error:
        pytest.skip(str(error))
    build_searcher(encoders)
    query_encoder = QueryEncoder(encoders, encoders.spatial.space)
    for name in ("household", "outdoor", "road", "warehouse"):
        vocabulary = named_vocabulary(name)
        query_encoder.embed_texts([text for query in vocabulary.queries for text in query.texts()])
    assert not made and not list(tmp_path.rglob("*.npy"))
    query_encoder.embed_texts(["a purple unicycle"])
    assert len(made) == 1 and len(list(tmp_path.rglob("*.npy"))) == 1


def test_a_shipped_text_is_not_encoded_and_another_one_is(tmp_path: Path) -> None:
    path = tmp_path / "vectors.safetensors"
    written = write_shipped_vectors(path, Letters(), ["Mug", "apple", "mug"])
    assert written.texts == ("apple", "mug")
    encoder = Letters()
    known = ShippedTextEncoder(encoder, read_shipped_vectors(path))
    assert np.array_equal(known.encode(["MUG", "bowl", "apple"]), Letters().encode(["mug", "bowl", "apple"]))
    assert encoder.encoded == ["bowl"]
    assert known.unknown(["Apple", "Cup"]) == ("Cup",)
    assert known.encode([]).shape == (0, 26)
    with pytest.raises(ModelError, match="phrases alone"):
        known.with_templates(("a {}",))
    assert known.with_templates(PLAIN).space == "letters@1"


@pytest.mark.parametrize(("space", "wording"), [("letters@2", ""), ("letters@1", "templates")])
def test_vectors_of_another_space_or_wording_are_never_used(space: str, wording: str) -> None:
    wrong = np.tile(np.float32([0.6, 0.8] + 24 * [0]), (1, 1))
    known = ShippedTextEncoder(Letters(), ShippedVectors(space, wording, ("mug",), wrong))
    assert np.array_equal(known.encode(["mug"]), Letters().encode(["mug"]))


def test_a_damaged_file_names_itself_and_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "vectors.safetensors"
    write_shipped_vectors(path, Letters(), ["mug"])
    path.write_bytes(path.read_bytes()[:-9])
    for damaged in (path, tmp_path / "none.safetensors"):
        with pytest.raises(ModelError, match=r"safetensors' cannot be read.*install the package again"):
            read_shipped_vectors(damaged)
