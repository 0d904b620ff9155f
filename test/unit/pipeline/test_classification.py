"""Zero-shot classification and image-text similarity of a pipeline."""

from __future__ import annotations

import numpy as np
import open_clip
import pytest
import torch
from small_models import encoders_of, pipeline_of

from perception_contrast.core.errors import ModelError, QueryError
from perception_contrast.core.frame import Frame
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.text.prompt_templates import PLAIN

LABELS = ("red mug", "sofa", "the floor", "two dogs")


def noise(seed: int = 0, size: tuple[int, int] = (64, 64)) -> Frame:
    return Frame(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


@pytest.mark.parametrize("kind", ["lit", "apart", "clip"])
def test_cosines_are_those_of_the_embedding_topic_and_embedded_texts(kind: str) -> None:
    pipeline, frame = pipeline_of(kind), noise(size=(60, 90))
    image = pipeline.process(frame, OutputRequest(embedding=True)).embedding
    found = pipeline.classify(frame, LABELS)
    np.testing.assert_allclose(found.cosines, pipeline.query_encoder.embed_texts(LABELS) @ image, atol=1e-5)
    assert found.probabilities.dtype == np.float32 and found.probabilities.sum() == pytest.approx(1, abs=1e-5)
    backwards = pipeline.classify(frame, LABELS[::-1])
    np.testing.assert_allclose(backwards.probabilities[::-1], found.probabilities, atol=1e-5)
    assert found.space == pipeline.query_encoder.text_space


def test_other_templates_give_the_mean_of_their_sentences() -> None:
    pipeline, frame = pipeline_of("clip"), noise()
    templates = ("see {a}!", "{the} here")
    given = pipeline.query_encoder.embed_texts(["apple"], templates)[0]
    apart = pipeline.query_encoder.embed_texts(["see an apple!", "the apple here"], PLAIN).mean(axis=0)
    np.testing.assert_allclose(given, apart / np.linalg.norm(apart), atol=1e-5)
    own, other = (pipeline.classify(frame, LABELS, templates=t).cosines for t in (None, templates))
    assert np.abs(own - other).max() > 1e-3


def test_clip_scores_are_the_published_ones() -> None:
    pipeline, frame = pipeline_of("clip"), noise()
    found = pipeline.image_text_similarity(frame, LABELS)
    network = encoders_of("clip").language.image_encoder.network
    with torch.no_grad():
        texts = network.encode_text(open_clip.SimpleTokenizer()(list(LABELS)), normalize=True).numpy()
    image = pipeline.process(frame, OutputRequest(embedding=True)).embedding
    np.testing.assert_allclose(found.cosines, texts @ image, atol=1e-5)
    # Hessel et al. 2021: w * max(cos, 0) with w = 2.5; the usual 0 to 100 scale has w = 100.
    np.testing.assert_allclose(
        found.clip_scores * 2.5 / 100, 2.5 * np.clip(texts @ image, 0, None), atol=1e-5
    )
    assert (found.clip_scores >= 0).all() and found.space == pipeline.query_encoder.text_space


@pytest.mark.parametrize(
    ("labels", "said"),
    [([], "give 1 to 1024"), (["mug"] * 1025, "give 1 to"), (["mug", " "], "empty"),
     (["x" * 2000], "at most 512"), (["bad \udcff"], "UTF-8"), (["a\x07b"], "control character")],
)  # fmt: skip
def test_texts_that_are_refused_say_why(labels: list[str], said: str) -> None:
    pipeline = pipeline_of("clip")
    for ask in (pipeline.classify, pipeline.image_text_similarity):
        with pytest.raises(QueryError, match=said):
            ask(noise(), labels)


def test_what_a_model_cannot_do_it_says() -> None:
    with pytest.raises(QueryError, match="no language model"):
        pipeline_of("none").classify(noise(), LABELS)
    with pytest.raises(ModelError, match="fitted to phrases alone"):
        pipeline_of("lit").classify(noise(), LABELS, templates=("see {a}",))
    with pytest.raises(ModelError, match="templates"):
        pipeline_of("clip").classify(noise(), LABELS, templates=("no place",))
    assert len(pipeline_of("lit").image_text_similarity(noise(), ["☕", "كوب"]).cosines) == 2
