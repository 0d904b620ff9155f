"""Query and Vocabulary to and from messages. A message holds text and vectors, never names of files."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from perception_contrast_msgs.msg import Embedding, QuerySet
from perception_contrast_msgs.msg import Query as QueryMessage
from std_msgs.msg import Header

from perception_contrast.core.embedding_spaces import require_same_space
from perception_contrast.core.errors import QueryError
from perception_contrast.core.vocabulary import Exemplar, Query, Vocabulary
from perception_contrast.ros.messages.detection_messages import embedding_message


def exemplar_from_message(message: Embedding, label: str, space: str) -> Exemplar:
    """The unit vector of a message. SpaceError unless it is of ``space``; QueryError if it is no vector."""
    require_same_space(message.space, space, f"an exemplar of '{label}'")
    vector = np.array(message.data, np.float32)
    length = float(np.linalg.norm(vector))
    if not math.isfinite(length) or length < 1e-6:
        raise QueryError(f"an exemplar of '{label}' is not a finite vector that differs from zero")
    return Exemplar(vector / np.float32(length), message.space)


def _known_exemplar(exemplar: Exemplar, known: Iterable[Exemplar]) -> Exemplar:
    """The known exemplar of the same vector, if any: a message carries a vector without its surroundings."""
    for other in known:
        if other.vector.shape == exemplar.vector.shape and np.allclose(
            other.vector, exemplar.vector, rtol=0.0, atol=1e-6
        ):
            return other
    return exemplar


def query_from_message(message: QueryMessage, space: str, known: Iterable[Exemplar] = ()) -> Query:
    """The Query of a message.

    Args:
        message: A perception_contrast_msgs/Query.
        space: That the exemplars must belong to.
        known: Current exemplars; one that comes back from GetQueries is recognised as such.

    Raises:
        SpaceError: An exemplar is of another space.
        QueryError: An exemplar is no vector, or the query breaks a rule of its own.
    """
    others = [other for other in known if other.space == space]
    exemplars, negative_exemplars = (
        tuple(_known_exemplar(exemplar_from_message(one, message.label, space), others) for one in given)
        for given in (message.exemplars, message.negative_exemplars)
    )
    threshold = float(message.threshold)
    return Query(
        label=message.label,
        phrases=tuple(message.phrases),
        exemplars=exemplars,
        threshold=None if threshold == 0.0 else threshold,
        negatives=tuple(message.negatives),
        negative_exemplars=negative_exemplars,
    )


def query_message(query: Query, header: Header) -> QueryMessage:
    """The message of a query; threshold 0 stands for the node's default."""
    vectors, negative_vectors = (
        [embedding_message(one.vector, one.space.partition("@")[0], one.space, header) for one in given]
        for given in (query.exemplars, query.negative_exemplars)
    )
    return QueryMessage(
        label=query.label,
        phrases=list(query.phrases),
        exemplars=vectors,
        threshold=float(query.threshold or 0.0),
        negatives=list(query.negatives),
        negative_exemplars=negative_vectors,
    )


def query_set_message(vocabulary: Vocabulary, header: Header) -> QuerySet:
    """The queries and distractors in force, in order."""
    return QuerySet(
        header=header,
        version=vocabulary.version,
        queries=[query_message(query, header) for query in vocabulary.queries],
        distractors=list(vocabulary.distractors),
    )
