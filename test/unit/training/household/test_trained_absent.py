"""Names that training always called absent: the fact in a head's file, and what ships without them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from perception_contrast.core.errors import ModelError
from perception_contrast.core.vocabulary import Exemplar, Query, Vocabulary
from perception_contrast.encoders.alignment_head import TRAINED_ABSENT
from perception_contrast.encoders.household_lit import trained_absent_names
from perception_contrast.pipeline.queries.active_vocabulary import ActiveVocabulary
from perception_contrast.pipeline.queries.query_encoder import QueryEncoder
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.vocabulary.vocabulary_file import load_vocabulary
from perception_contrast_training.household.learned_facts import trained_absent
from perception_contrast_training.household.words import ELSEWHERE
from perception_contrast_training.photographs.naming import load_naming


class Encoder(QueryEncoder):
    """Embeds nothing; knows what its language model calls absent."""

    def __init__(self, absent: frozenset[str]) -> None:
        language = SimpleNamespace(model="household-lit", trained_absent=absent)
        super().__init__(cast(Any, SimpleNamespace(language=language, spatial=None)), "m@1")

    def prepare(self, vocabulary: Vocabulary) -> PreparedQueries:
        return PreparedQueries(vocabulary)


def test_a_label_that_training_called_absent_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    import numpy as np

    active = ActiveVocabulary(Encoder(frozenset({"forklift", "wallet"})))
    shown = Exemplar(np.ones(1, np.float32), "m@1")
    with caplog.at_level(logging.WARNING):
        active.set_queries([Query("mug"), Query("Forklift"), Query("purse", ("a wallet",))])
        assert active.trained_absent == ("Forklift", "purse")
        active.set_queries([Query("Forklift"), Query("money", ("wallet", "purse"))])
        assert active.trained_absent == ("Forklift",)
        active.set_queries([Query("forklift", exemplars=(shown,))])
    assert active.trained_absent == ()
    told = [one.getMessage() for one in caplog.records]
    assert len(told) == 1 and "Forklift, purse" in told[0] and "siglip2-b16" in told[0]


def test_the_fact_of_a_head_is_read_and_a_damaged_one_is_refused() -> None:
    assert trained_absent_names({}) == frozenset()
    assert trained_absent_names({TRAINED_ABSENT: json.dumps(["Forklift"])}) == {"forklift"}
    for text in ("{", json.dumps({"forklift": 1}), json.dumps([1])):
        with pytest.raises(ModelError, match="absent"):
            trained_absent_names({TRAINED_ABSENT: text})


def test_what_photographs_label_is_no_longer_absent() -> None:
    absent = trained_absent({"person", "sofa"})
    assert "person" not in absent and "forklift" in absent and set(absent) < set(ELSEWHERE)


def test_the_household_vocabulary_holds_no_such_name(repository: Path) -> None:
    absent = set(ELSEWHERE) - set(load_naming([]).names)
    for query in load_vocabulary(repository / "config/vocabularies/household.yaml").queries:
        assert not absent & {query.label, *query.texts()}, query
