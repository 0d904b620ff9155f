"""Answers of a map: the best match comes first, and the words say what is sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from perception_contrast.mapping.answers.find_answers import MapContents, find, label_score
from perception_contrast.mapping.answers.map_answer import AnswerKind, MapAnswer
from perception_contrast.mapping.answers.map_query import FindFilters, MapQuery
from perception_contrast.mapping.answers.name_contrast import NameContrast
from perception_contrast.mapping.objects.map_object import MapObject, Vote
from perception_contrast.mapping.objects.voxel_set import VoxelSet

NOTHING = np.zeros((0, 4), np.float32)


def mug(number: int, probability: float, *, confirmed: bool = True, gone: bool = False) -> MapObject:
    """A mug whose ten looks had detections of that mean probability."""
    voxels = VoxelSet.of_points(np.array([[float(number), 0.0, 0.5], [float(number), 0.1, 0.5]]), 0.05)
    votes = {"mug": Vote(10 * probability, 10.0)}
    return MapObject(number, voxels, votes, 1, 2, 2, confirmed=confirmed, gone=gone)


def asked(objects: Sequence[MapObject], **filters: object) -> MapAnswer:
    contents = MapContents(objects, None, None, NameContrast.measured(NOTHING, NOTHING, NOTHING))
    return find(MapQuery(label="mug"), FindFilters(**filters), contents)  # type: ignore[arg-type]


def ids(answer: MapAnswer) -> list[int]:
    return [hit.thing.id for hit in answer.hits if hit.thing is not None]


def test_what_matches_much_better_goes_before_what_is_confirmed() -> None:
    answer = asked([mug(1, 0.11), mug(2, 0.9, confirmed=False)])
    assert answer.kind == AnswerKind.UNCONFIRMED and ids(answer) == [2, 1]
    assert "best of 2 is unconfirmed" in answer.message and "mug 1 is confirmed" in answer.message
    assert [hit.score for hit in answer.hits] == sorted((hit.score for hit in answer.hits), reverse=True)


def test_of_nearly_equal_matches_the_confirmed_one_goes_first() -> None:
    answer = asked([mug(1, 0.8, confirmed=False), mug(2, 0.7), mug(3, 0.75, gone=True)], include_gone=True)
    assert answer.hits[1].score > answer.hits[0].score
    assert answer.kind == AnswerKind.FOUND and ids(answer)[0] == 2
    assert answer.message == "2 found, 1 of them not there any more, and 1 unconfirmed"


def test_a_thing_that_is_called_otherwise_more_surely_has_less_of_a_claim_to_a_name() -> None:
    cup, bowl = mug(1, 0.3), mug(2, 0.32)
    bowl = replace(bowl, evidence=bowl.evidence | {"bowl": Vote(6.0, 10.0)})
    answer = asked([bowl, cup])
    assert ids(answer) == [1, 2]
    # It may have both names, so it answers too.
    assert 0.5 < answer.hits[1].score < answer.hits[0].score
    assert label_score("bowl", bowl) == pytest.approx(bowl.evidence["bowl"].confidence)
    assert label_score("MUG", cup) == pytest.approx(cup.evidence["mug"].confidence)
    assert label_score("elephant", cup) == 0.0


@pytest.mark.parametrize(
    ("objects", "kind", "message"),
    [
        ([mug(1, 0.9), mug(2, 0.8)], AnswerKind.FOUND, "2 found"),
        ([mug(1, 0.9, confirmed=False)], AnswerKind.UNCONFIRMED, "perhaps: 1 unconfirmed"),
        ([mug(1, 0.9, gone=True)], AnswerKind.FOUND, "1 found that is not there any more"),
    ],
)
def test_words_of_answers(objects: list[MapObject], kind: AnswerKind, message: str) -> None:
    answer = asked(objects, include_gone=True)
    assert (answer.kind, answer.message) == (kind, message)


def test_the_limit_leaves_the_best_and_words_tell_of_what_is_given() -> None:
    answer = asked([mug(1, 0.12), mug(2, 0.9, confirmed=False)], max_results=1)
    assert ids(answer) == [2] and answer.message == "perhaps: 1 unconfirmed"
