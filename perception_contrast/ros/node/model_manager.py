"""The models in use: loaded, changed for others while frames go on, and let go."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from perception_contrast.core.allocator import release_memory
from perception_contrast.core.errors import PerceptionError
from perception_contrast.ros.node.lifecycle import Background
from perception_contrast.ros.node.vocabulary_store import VocabularyStore
from perception_contrast.ros.parameters import node_parameters as parameters
from perception_contrast.ros.parameters.node_parameters import LOADED, Values

if TYPE_CHECKING:
    from perception_contrast.pipeline.pipeline import Pipeline

WARM_UP_SIZE = (480, 640)


class Telling(Protocol):
    """Where the models report to."""

    def progress(self, line: str) -> None:
        """One line of what goes on."""

    def trouble(self, kind: str, line: str) -> None:
        """What went wrong, by kind."""

    def mended(self, kind: str) -> None:
        """What went wrong is no more."""


@dataclass(frozen=True)
class Loading:
    """What is being loaded, the last line of its progress, and for how long (seconds)."""

    what: str = ""
    progress: str = ""
    seconds: float = 0.0


class ModelManager:
    """One pipeline, or none. Any thread may call; ``load`` belongs into the background.

    values: of the parameters, as they are now. on_change: called with a pipeline that has taken another's
    place. on_refused: called with the parameters to go back to where a change could not be loaded.
    """

    def __init__(
        self,
        background: Background,
        build: Callable[..., Pipeline],
        values: Callable[[], Values],
        remembered: VocabularyStore,
        tell: Telling,
        on_change: Callable[[Pipeline], None],
        on_refused: Callable[[Values], None],
    ) -> None:
        self._background = background
        self._build, self._values, self._remembered, self._tell = build, values, remembered, tell
        self._on_change, self._on_refused = on_change, on_refused
        # Here, because no id of a track may come again after a change of models.
        self._track_numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._pipeline: Pipeline | None = None
        self._loaded: dict[str, Any] = {}
        self._asked: dict[str, Any] = {}
        self._began = 0.0
        self._loading, self._progress = "", ""
        self._switching = False
        self._era = 0

    @property
    def pipeline(self) -> Pipeline | None:
        return self._pipeline

    @property
    def loading(self) -> Loading:
        """What goes on now; ``what`` is "" for nothing."""
        if not self._loading:
            return Loading()
        return Loading(self._loading, self._progress, time.monotonic() - self._began)

    def load(self) -> None:
        """Loads what the parameters name, with the vocabulary that was in force. Raises PerceptionError."""
        with self._lock:
            self._era += 1
            era = self._era
        values = self._values()
        made = self._made(values)
        try:
            self._ask(made, values)
        except BaseException:
            made.close()
            raise
        self._warm(made)
        with self._lock:
            if era == self._era:
                self._pipeline, self._loaded, self._asked = made, wanted(values), asking(values)
                return
        made.close()

    def catch_up(self) -> None:
        """Puts in force what parameters were changed to while they were loaded from. Raises QueryError."""
        values, pipeline = self._values(), self._pipeline
        if pipeline is None:
            return
        pipeline.configure(parameters.settings(values))
        if asking(values) != self._asked:
            self._asked = asking(values)
            pipeline.set_queries(*parameters.asked_for(values))
        self.switch()

    def release(self) -> None:
        """Lets the models go, and their memory with them; a load under way goes nowhere."""
        with self._lock:
            self._era += 1
            pipeline, self._pipeline, self._loaded = self._pipeline, None, {}
        if pipeline is not None:
            pipeline.close()
            del pipeline
            free_memory()

    def switch(self) -> None:
        """Brings the models to what the parameters name now, in the background.

        The old ones serve until the new ones are ready. Where they cannot be loaded the old ones stay.
        """
        with self._lock:
            if self._pipeline is None or self._switching:
                return
            self._switching = True
        self._background.start(self._switch)

    def _switch(self) -> None:
        while True:
            with self._lock:
                era, values = self._era, self._values()
                if self._pipeline is None or wanted(values) == self._loaded:
                    # Under the lock: whoever changes a parameter from now on finds this thread gone.
                    self._switching = False
                    return
            try:
                made = self._made(values)
                self._warm(made)
                self._replace(made, values, era)
            except Exception as error:
                said = str(error) if isinstance(error, PerceptionError) else f"internal error: {error!r}"
                if wanted(self._values()) != wanted(values):
                    continue
                self._tell.trouble("models", f"'{values['model']}' could not take over: {said}")
                self._on_refused({**self._values(), **self._loaded})
                if wanted(self._values()) != self._loaded:
                    with self._lock:
                        self._switching = False
                    return

    def _replace(self, made: Pipeline, values: Values, era: int) -> None:
        """The new pipeline takes over between two frames, with what is asked for and set by now."""
        old = self._pipeline
        while old is not None:
            vocabulary = old.vocabulary
            try:
                lines = made.adopt_vocabulary(vocabulary)
            except PerceptionError:
                made.close()
                raise
            made.configure(parameters.settings(self._values()))
            with self._lock:
                if era != self._era:
                    break
                if old.vocabulary is not vocabulary:
                    continue
                self._pipeline, self._loaded = made, wanted(values)
            self._tell.mended("models")
            for line in lines:
                self._tell.trouble("vocabulary", line)
            self._on_change(made)
            old.close()
            del old
            free_memory()
            return
        made.close()

    def _made(self, values: Values) -> Pipeline:
        self._began, self._progress = time.monotonic(), "starting"
        self._loading = f"{values['model']} with {values['language_model']}"
        self._tell.progress(f"loading {values['model']}")
        try:
            return self._build(
                model=values["model"],
                language_model=values["language_model"],
                dense=values["dense"],
                device=values["device"],
                engine=values["engine"],
                precision=values["precision"],
                offline=values["offline"],
                settings=parameters.settings(values),
                progress=self._goes_on,
                track_numbers=self._track_numbers,
                proposals=parameters.proposal_files(values),
            )
        finally:
            self._loading = ""

    def _warm(self, made: Pipeline) -> None:
        """The first pass pays for allocation and kernel choice; a robot's first frame should not."""
        self._loading = "warm-up"
        try:
            made.warm_up(WARM_UP_SIZE, self._goes_on)
        except BaseException:
            made.close()
            raise
        finally:
            self._loading = ""
        for role, engine in made.engines.items():
            self._tell.progress(f"engine ({role}): {engine}")
        self._tell.progress(f"models loaded in {time.monotonic() - self._began:.1f} s")

    def _goes_on(self, line: str) -> None:
        self._progress = line
        self._tell.progress(line)

    def _ask(self, made: Pipeline, values: Values) -> None:
        """What was looked for, if the parameters still ask for the same as then; else what they ask for."""
        known = self._remembered.recall(asking(values))
        if known is not None:
            try:
                for line in made.adopt_vocabulary(known):
                    self._tell.trouble("vocabulary", line)
            except PerceptionError as error:
                self._tell.trouble("vocabulary", f"the stored vocabulary is not looked for: {error}")
            else:
                return
        made.adopt_vocabulary(self._remembered.numbering())
        queries, distractors = parameters.asked_for(values)
        if queries or distractors:
            made.set_queries(queries, distractors)


def wanted(values: Values) -> dict[str, Any]:
    """The part of the parameters that the models follow from."""
    return {name: values[name] for name in LOADED}


def asking(values: Values) -> dict[str, Any]:
    """The part of the parameters that what is looked for begins from, as JSON can hold it."""
    return {
        name: list(values[name]) if not isinstance(values[name], str) else values[name]
        for name in sorted(parameters.ASKING)
    }


def free_memory() -> None:
    """Gives back what nobody refers to any more: to the system, and a GPU's to its other users."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    release_memory()
