"""The rest of the generic names, encoded beside the frames when all that was asked for has vectors."""

from __future__ import annotations

import logging
import threading

from perception_contrast.pipeline.queries.active_vocabulary import ActiveVocabulary
from perception_contrast.pipeline.queries.query_encoder import QueryEncoder
from perception_contrast.segmentation.scoring.base import Scorer
from perception_contrast.segmentation.scoring.contrast_scorer import ContrastScorer
from perception_contrast.segmentation.scoring.name_bank import NameBank, generic_names
from perception_contrast.text.prompt_templates import PLAIN

logger = logging.getLogger(__name__)

_NAMES_A_STEP = 32
_SECONDS_BETWEEN_LOOKS = 0.5


class NameBankCompletion:
    """Gives a scorer that began with a part of the generic names all of them, between two frames."""

    def __init__(self, scorer: Scorer | None, query_encoder: QueryEncoder, active: ActiveVocabulary) -> None:
        """Starts, where there is something to do.

        Args:
            scorer: Of texts; only a ``ContrastScorer`` has generic names.
            query_encoder: Encodes them.
            active: Its texts come first, and what holds or ends them holds or ends this.
        """
        self._query_encoder, self._active = query_encoder, active
        self._names, self._failure = generic_names(), ""
        self._scorer = scorer if isinstance(scorer, ContrastScorer) else None
        if self._scorer is not None and self._progress():
            threading.Thread(
                target=self._complete, args=(self._scorer,), name="name-bank", daemon=True
            ).start()

    @property
    def encoding(self) -> str:
        """How many of the names serve, in one line; "" where no more are to come."""
        return "" if self._failure else self._progress()

    @property
    def failure(self) -> str:
        """How many of the names serve where the others could not be encoded, and the remedy; else ""."""
        return self._failure

    def _complete(self, scorer: ContrastScorer) -> None:
        try:
            for start in range(0, len(self._names), _NAMES_A_STEP):
                while self._active.encoding and self._active.rest(_SECONDS_BETWEEN_LOOKS):
                    pass
                if not self._active.rest():
                    return
                self._query_encoder.embed_texts(self._names[start : start + _NAMES_A_STEP], PLAIN)
            scorer.bank = NameBank.encoded(self._query_encoder.language.text)
        except Exception as error:  # beside the frames, which must go on
            self._failure = f"{self._progress()}; load the models again ({error})"
            logger.warning("texts cannot be encoded: %s", self._failure)

    def _progress(self) -> str:
        known = len(self._names) if self._scorer is None else len(self._scorer.bank.vectors)
        if known >= len(self._names):
            return ""
        return f"{known} of {len(self._names)} generic names are compared with"
