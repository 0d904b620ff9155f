"""What a head learned from, as its file says it, and what goes on to hold of the head that it began with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from perception_contrast.encoders.alignment_head import TRAINED_ABSENT
from perception_contrast_training.household.words import Words

NAMES, LEARNED_FROM = "names", "learned_from"


def trained_absent(shown: Iterable[str]) -> tuple[str, ...]:
    """The names that every image of training denies: no room and no photograph shows them.

    Args:
        shown: Words that are true of something in photographs.
    """
    words = Words()
    words.without_elsewhere(shown)
    return words.elsewhere


def inherited_facts(facts: Mapping[str, str]) -> dict[str, str]:
    """Those facts of a file that go on to hold of a head which begins with it."""
    return {key: facts[key] for key in (NAMES, LEARNED_FROM, TRAINED_ABSENT) if key in facts}


def with_inherited(start: Mapping[str, str], facts: Mapping[str, str]) -> dict[str, str]:
    """Facts of a head with those of the head that it began with: what that one learned, this one did.

    Args:
        start: Facts of the file that the fit began with; nothing for a new head.
        facts: Of what is learned now.

    Returns:
        ``facts`` with the names and the sets of both, and with the names that both always called absent.
    """
    found = dict(facts)
    if names := list(dict.fromkeys([*_read(start, NAMES), *_read(facts, NAMES)])):
        found[NAMES] = json.dumps(names)
    sets = {one["set"]: one for one in (*_read(start, LEARNED_FROM), *_read(facts, LEARNED_FROM))}
    if sets:
        found[LEARNED_FROM] = json.dumps(list(sets.values()))
    if TRAINED_ABSENT in start and TRAINED_ABSENT in facts:
        before = set(_read(start, TRAINED_ABSENT))
        found[TRAINED_ABSENT] = json.dumps([one for one in _read(facts, TRAINED_ABSENT) if one in before])
    return found


def _read(facts: Mapping[str, str], key: str) -> list[Any]:
    return list(json.loads(facts.get(key, "[]")))
