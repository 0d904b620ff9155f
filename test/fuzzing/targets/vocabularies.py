"""Vocabularies: files that people write, and the file in which a node keeps its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fuzzing.formats.safetensors_header import mutated_header, mutated_words
from fuzzing.target import Mutation, Target
from fuzzing.targets.bags import mutated_yaml
from perception_contrast.core.errors import QueryError
from perception_contrast.core.vocabulary import Exemplar, Query, Vocabulary
from perception_contrast.vocabulary.query_inputs import vocabulary_of
from perception_contrast.vocabulary.vocabulary_file import load_vocabulary
from perception_contrast.vocabulary.vocabulary_folders import named_vocabularies
from perception_contrast.vocabulary.vocabulary_state import from_bytes, to_bytes
from perception_contrast.vocabulary.vocabulary_store import ALWAYS, VocabularyStore

_SMALL = b"""description: a few things
labels:
- mug
- label: chair
  phrases: [a chair, an office chair]
  negatives: [a table]
  threshold: 0.4
distractors: [wall, floor]
"""


_IN_ITSELF = b"labels: &a [mug, {label: cup, phrases: *a}]\n"


class VocabularyFiles(Target):
    allowed = (QueryError,)

    @property
    def mutations(self) -> Sequence[Mutation]:
        return (mutated_yaml,)

    def seeds(self) -> list[bytes]:
        shipped = min((path for path in named_vocabularies().values()), key=lambda path: path.stat().st_size)
        aliases = b"labels: [&a {label: mug, phrases: &b [x, y]}, {label: cup, phrases: *b}]\n"
        return [_SMALL, _SMALL, aliases, shipped.read_bytes()[:1500], _IN_ITSELF]

    def run(self, data: bytes) -> None:
        path = self.scratch / "words.yaml"
        path.write_bytes(data)
        found = load_vocabulary(path)
        assert vocabulary_of(path).queries == found.queries


class StoredVocabularies(Target):
    allowed = (QueryError,)

    @property
    def mutations(self) -> Sequence[Mutation]:
        return (mutated_header, mutated_words)

    def seeds(self) -> list[bytes]:
        shown = Exemplar(np.array([0.6, 0.8], np.float32), "a@1", centre=np.array([1, 0], np.float32))
        queries = (
            Query("mug", ("a mug",), negatives=("a cup",), threshold=0.3),
            Query("it", exemplars=(shown, shown)),
        )
        full = Vocabulary().with_queries(queries, ("wall",))
        note = {"asking": '{"queries": ["mug"]}'}
        return [to_bytes(full, note), to_bytes(Vocabulary(), note)]

    def run(self, data: bytes) -> None:
        found = _stored(self.scratch / "state.safetensors", data)
        vocabulary, note = from_bytes(data)
        again, _ = from_bytes(to_bytes(vocabulary, note))
        assert again.queries == () or [one.label for one in again.queries] == [
            one.label for one in vocabulary.queries
        ]
        assert found is None or found.version == vocabulary.version


def _stored(path: Path, data: bytes) -> Vocabulary | None:
    """As a node loads it, which tells of a damaged file and goes on."""
    path.write_bytes(data)
    told: list[str] = []
    store = VocabularyStore(path, ALWAYS, told.append)
    found = store.load({"queries": ["mug"]})
    store.save(Vocabulary(version=1), {})
    assert not told or path.read_bytes() == data, "a file that was refused has been overwritten"
    return found
