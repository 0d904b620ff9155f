"""Which other names are asked for, and in which order, changes neither a label's probability nor its id."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import encoders_of

from perception_contrast.core.errors import ModelError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Query, Vocabulary
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.pipeline.build import build
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.vocabulary.vocabulary_file import load_vocabulary

ASKED = ("mug", "bowl", "chair", "book", "red ball", "potted plant")
UNRELATED = ("submarine", "giraffe", "snowman", "fire hydrant", "trumpet", "volcano", "lighthouse")
OTHERS = ("glacier", "zebra", "igloo", "parking meter", "saxophone", "pyramid", "windmill")
MOST = 0.05
EVERYTHING = PipelineSettings(short_side=252, detection_threshold=1e-6, max_detections=1000)
Found = dict[tuple[str, tuple[int, int, int, int]], float]


def scene() -> Frame:
    """A simulated room with many things in it."""
    from perception_contrast_sim.rooms.scenes import SceneSampler, SceneSettings

    try:
        return Frame(next(iter(SceneSampler(12, SceneSettings(offline=True, views=1)))).rgb)
    except (ModelError, ImportError) as error:
        pytest.skip(f"the simulated household cannot be rendered: {error}")


def random_clip() -> Pipeline:
    clip = encoders_of("clip")
    return Pipeline(Encoders(clip.spatial, clip.language, "cpu"), EVERYTHING, precision="fp32")


def household_lit() -> Pipeline:
    try:
        return build(offline=True, settings=EVERYTHING)
    except ModelError as error:
        pytest.skip(f"household-lit is not in the cache: {error}")


@pytest.fixture(scope="module", params=["household-lit", "clip"])
def seen(request: pytest.FixtureRequest) -> tuple[Pipeline, Frame]:
    frame = scene()
    return (household_lit() if request.param == "household-lit" else random_clip()), frame


def found(seen: tuple[Pipeline, Frame], labels: tuple[str, ...]) -> Found:
    """Label and box of every region to its probability."""
    pipeline, frame = seen
    pipeline.set_queries([Query(label) for label in labels])
    detections = pipeline.process(frame, OutputRequest(detections=True, masks=True)).detections
    return {(one.label, one.box): one.scores.probability for one in detections}


def changes(before: Found, after: Found, labels: tuple[str, ...]) -> float:
    """Largest change of a region's probability; one that comes or goes counts with all of it."""
    found = 0.0
    for one, other in ((before, after), (after, before)):
        for (label, box), probability in one.items():
            if label in labels:
                same = [p for (name, place), p in other.items() if name == label and alike(box, place)]
                found = max(found, min((abs(probability - p) for p in same), default=probability))
    return found


def alike(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    """Boxes of one region: sums in another order may move an edge by a pixel."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= 2


def test_unrelated_queries_replaced_and_reordered_change_nothing() -> None:
    seen = household_lit(), scene()
    base = found(seen, (*ASKED, *UNRELATED))
    ids = {label: seen[0].vocabulary.ids[label] for label in ASKED}
    kept = {key: p for key, p in base.items() if key[0] in ASKED}
    assert kept and max(kept.values()) > 0.1, "nothing found would prove nothing"
    others = {"replaced": (*ASKED, *OTHERS), "before, turned round": (*UNRELATED, *ASKED[::-1])}
    for what, labels in others.items():
        assert changes(kept, found(seen, labels), ASKED) < MOST, what
        assert {label: seen[0].vocabulary.ids[label] for label in ASKED} == ids, what


def test_of_many_names_each_is_less_probable_than_of_few() -> None:
    """By nothing but their number, so that the order of regions stays."""
    seen = household_lit(), scene()
    few, many = found(seen, ASKED), found(seen, (*ASKED, *UNRELATED, *OTHERS))
    both = [(p, many[key]) for key, p in few.items() if key in many]
    assert len(both) >= 2 and all(more <= less + 1e-6 for less, more in both)
    assert any(more < less for less, more in both)


def test_logits_of_an_image_text_model_are_those_of_the_query_alone() -> None:
    pipeline, frame = random_clip(), scene()
    features = pipeline.extract_features(frame)
    searcher = pipeline.frame_search.searcher

    def logits(labels: tuple[str, ...]) -> np.ndarray:
        prepared = pipeline.prepare(Vocabulary().with_queries([Query(label) for label in labels]))
        return searcher.cell_logits(features.semantic, features.features, prepared)

    together = logits((*UNRELATED, *ASKED))[len(UNRELATED) :]
    np.testing.assert_allclose(together, logits(ASKED), atol=1e-3)
    np.testing.assert_allclose(together[:1], logits(ASKED[:1]), atol=1e-3)


def test_other_queries_decide_whose_a_pixel_is_and_nothing_more(seen: tuple[Pipeline, Frame]) -> None:
    pipeline, frame = seen
    labels, alone = ASKED[:3], {}
    for label in labels:
        pipeline.set_queries([Query(label)])
        alone[label] = (
            pipeline.process(frame, OutputRequest(masks=True)).masks == pipeline.vocabulary.ids[label]
        )
    pipeline.set_queries([Query(label) for label in labels])
    together = pipeline.process(frame, OutputRequest(masks=True)).masks
    for label in labels:
        mine = together == pipeline.vocabulary.ids[label]
        assert not (mine & ~alone[label]).any(), "a label gains no pixel by others"
    labelled = np.isin(together, [pipeline.vocabulary.ids[label] for label in labels])
    assert np.array_equal(labelled, np.logical_or.reduce(list(alone.values()))), (
        "no pixel is lost between two"
    )


def test_ids_stay_when_vocabularies_are_switched_back_and_forth(seen: tuple[Pipeline, Frame]) -> None:
    pipeline, _ = seen
    named = [load_vocabulary(name) for name in ("household", "road", "household", "outdoor", "road")]
    ids: dict[str, int] = {}
    for one in named:
        vocabulary = pipeline.set_queries(one.queries, one.distractors)
        for query in vocabulary.queries:
            assert ids.setdefault(query.label, vocabulary.ids[query.label]) == vocabulary.ids[query.label]
    assert len(set(ids.values())) == len(ids)
