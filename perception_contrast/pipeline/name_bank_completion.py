"""The rest of the generic names, encoded beside the frames when all that was asked for has vectors."""

from __future__ import annotations

import logging
import threading

from perception_contrast.pipeline.active_vocabulary import ActiveVocabulary
from perception_contrast.pipeline.query_encoder import QueryEncoder
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
            active: Its texts come first.
        """
        self._query_encoder, self._active = query_encoder, active
        self._going_on, self._closed = threading.Event(), threading.Event()
        self._going_on.set()
        if isinstance(scorer, ContrastScorer) and len(scorer.bank.vectors) < len(generic_names()):
            threading.Thread(target=self._complete, args=(scorer,), name="name-bank", daemon=True).start()

    def hold(self) -> None:
        """Encodes nothing more until ``go_on``."""
        self._going_on.clear()

    def go_on(self) -> None:
        """Lets what ``hold`` stopped go on."""
        self._going_on.set()

    def close(self) -> None:
        """Ends it."""
        self._closed.set()
        self._going_on.set()

    def _complete(self, scorer: ContrastScorer) -> None:
        names = generic_names()
        try:
            for start in range(0, len(names), _NAMES_A_STEP):
                while self._active.encoding and not self._closed.wait(_SECONDS_BETWEEN_LOOKS):
                    pass
                self._going_on.wait()
                if self._closed.is_set():
                    return
                self._query_encoder.embed_texts(names[start : start + _NAMES_A_STEP], PLAIN)
            scorer.bank = NameBank.encoded(self._query_encoder.language.text)
        except Exception as error:  # beside the frames, which must go on
            logger.warning(
                "generic names cannot be encoded, so %d of %d serve: %s",
                len(scorer.bank.vectors),
                len(names),
                error,
            )
