"""The models in use: loaded, replaced by others while frames go on, and released."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.process.allocator import release_memory
from perception_contrast.ros.monitoring.statistics import Issues
from perception_contrast.ros.node.daemon_executor import DaemonExecutor
from perception_contrast.ros.node.vocabulary_publisher import VocabularyPublisher
from perception_contrast.ros.parameters import node_parameters
from perception_contrast.ros.parameters.node_parameters import (
    NodeParameters,
    model_parameters,
    vocabulary_parameters,
)
from perception_contrast.ros.parameters.parameter_spec import Values
from perception_contrast.vocabulary.vocabulary_store import VocabularyStore

if TYPE_CHECKING:
    from perception_contrast.pipeline.pipeline import Pipeline

WARM_UP_SIZE = (480, 640)
# Seconds from the start of a load within which the models serve, whatever engines are still to be tried.
START_BUDGET = 30.0


class Logger(Protocol):
    """The part of an rclpy logger that is used here."""

    def info(self, message: str) -> Any:
        """Logs what goes on."""

    def warning(self, message: str) -> Any:
        """Logs what went wrong."""


@dataclass(frozen=True)
class LoadStatus:
    """A load in progress.

    Attributes:
        models: Names of what is being loaded, "" for nothing.
        progress: Last line of the load's progress.
        seconds: How long it has taken so far.
    """

    models: str = ""
    progress: str = ""
    seconds: float = 0.0


class ModelManager:
    """Holds one pipeline or none. Any thread may call; ``load`` belongs into the executor.

    Args:
        executor: Loads models that replace others.
        build: Signature of ``perception_contrast.pipeline.pipeline.build``.
        parameters: Name the models; a change that cannot be loaded is undone there.
        store: The vocabulary of the last run.
        publisher: Publishes the vocabulary when models have been replaced.
        issues: Failures, kinds "models" and "vocabulary".
        logger: Gets progress and failures too.
    """

    def __init__(
        self,
        executor: DaemonExecutor,
        build: Callable[..., Pipeline],
        parameters: NodeParameters,
        store: VocabularyStore,
        publisher: VocabularyPublisher,
        issues: Issues,
        logger: Logger,
    ) -> None:
        self._executor, self._build, self._parameters = executor, build, parameters
        self._store, self._publisher = store, publisher
        self._issues, self._logger = issues, logger
        # Here, because no id of a track may come again after a change of models.
        self._track_numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._pipeline: Pipeline | None = None
        self._loaded_parameters: dict[str, Any] = {}
        self._applied_vocabulary: dict[str, Any] = {}
        self._load_started = 0.0
        self._loading, self._progress = "", ""
        self._switching = self._paused = False
        # Counts loads and releases: a load whose number is not the newest is thrown away.
        self._generation = 0

    @property
    def pipeline(self) -> Pipeline | None:
        return self._pipeline

    @property
    def load_status(self) -> LoadStatus:
        if not self._loading:
            return LoadStatus()
        return LoadStatus(self._loading, self._progress, time.monotonic() - self._load_started)

    def load(self) -> None:
        """Loads the models that the parameters name, with the stored vocabulary. Raises PerceptionError."""
        with self._lock:
            self._generation += 1
            generation = self._generation
        values = self._parameters.values
        pipeline = self._build_pipeline(values)
        try:
            self._set_first_vocabulary(pipeline, values)
        except BaseException:
            pipeline.close()
            raise
        self._warm_up(pipeline, values)
        with self._lock:
            if generation == self._generation:
                self._pipeline = pipeline
                self._loaded_parameters = model_parameters(values)
                self._applied_vocabulary = vocabulary_parameters(values)
                return
        pipeline.close()

    def apply_late_changes(self) -> None:
        """Applies parameters that were changed during the load. Raises QueryError."""
        values, pipeline = self._parameters.values, self._pipeline
        if pipeline is None:
            return
        pipeline.configure(node_parameters.pipeline_settings(values))
        if vocabulary_parameters(values) != self._applied_vocabulary:
            self._applied_vocabulary = vocabulary_parameters(values)
            pipeline.set_queries(*node_parameters.requested_queries(values))
        self.switch()

    def release(self) -> None:
        """Releases the models and their memory; the result of a load in progress is thrown away."""
        with self._lock:
            self._generation += 1
            pipeline, self._pipeline, self._loaded_parameters = self._pipeline, None, {}
        if pipeline is not None:
            pipeline.close()
            del pipeline
            free_memory()

    def pause(self) -> None:
        """Stops what the models do beside frames, until ``resume``."""
        with self._lock:
            self._paused, pipeline = True, self._pipeline
        if pipeline is not None:
            pipeline.pause()

    def resume(self) -> None:
        """Lets the models go on with what they do beside frames."""
        with self._lock:
            self._paused, pipeline = False, self._pipeline
        if pipeline is not None:
            pipeline.resume()

    def switch(self) -> None:
        """Replaces the models by those that the parameters name now, in the background.

        The old models serve until the new ones are ready. Where they cannot be loaded the old ones stay.
        """
        with self._lock:
            if self._pipeline is None or self._switching:
                return
            self._switching = True
        self._executor.submit(self._switch)

    def _switch(self) -> None:
        while True:
            with self._lock:
                generation, values = self._generation, self._parameters.values
                if self._pipeline is None or model_parameters(values) == self._loaded_parameters:
                    # Under the lock: a parameter that changes from now on starts a new switch.
                    self._switching = False
                    return
            try:
                pipeline = self._build_pipeline(values)
                self._warm_up(pipeline, values)
                self._replace(pipeline, values, generation)
            except Exception as error:
                reason = str(error) if isinstance(error, PerceptionError) else f"internal error: {error!r}"
                if model_parameters(self._parameters.values) != model_parameters(values):
                    continue
                self._report("models", f"'{values['model']}' could not take over: {reason}")
                self._parameters.restore(self._loaded_parameters)
                if model_parameters(self._parameters.values) != self._loaded_parameters:
                    with self._lock:
                        self._switching = False
                    return

    def _replace(self, pipeline: Pipeline, values: Values, generation: int) -> None:
        """Lets a new pipeline take over between two frames, with the vocabulary and settings of now."""
        old = self._pipeline
        while old is not None:
            vocabulary = old.vocabulary
            try:
                left_out = pipeline.adopt_vocabulary(vocabulary)
            except PerceptionError:
                pipeline.close()
                raise
            pipeline.configure(node_parameters.pipeline_settings(self._parameters.values))
            with self._lock:
                if generation != self._generation:
                    break
                if old.vocabulary is not vocabulary:
                    continue
                self._pipeline, self._loaded_parameters = pipeline, model_parameters(values)
                if self._paused:
                    # The node was deactivated meanwhile, or the models were changed while it is inactive.
                    pipeline.pause()
            self._issues.clear("models")
            for line in left_out:
                self._report("vocabulary", line)
            with self._parameters.lock:
                pipeline.configure(node_parameters.pipeline_settings(self._parameters.values))
            self._publisher.publish(pipeline, force=True)
            old.close()
            del old
            free_memory()
            return
        pipeline.close()

    def _build_pipeline(self, values: Values) -> Pipeline:
        self._load_started, self._progress = time.monotonic(), "starting"
        self._loading = f"{values['model']} with {values['language_model']}"
        self._log_progress(f"loading {values['model']}")
        try:
            return self._build(
                model=values["model"],
                language_model=values["language_model"],
                dense=values["dense"],
                device=values["device"],
                engine=values["engine"],
                precision=values["precision"],
                offline=values["offline"],
                background_texts=True,
                settings=node_parameters.pipeline_settings(values),
                progress=self._on_progress,
                track_numbers=self._track_numbers,
                proposals=node_parameters.proposal_files(values),
                place=str(values["place"]),
                **({"heads": heads} if (heads := node_parameters.head_names(values)) else {}),
            )
        finally:
            self._loading = ""

    def _warm_up(self, pipeline: Pipeline, values: Values) -> None:
        """The first pass pays for allocation and kernel choice; a robot's first frame should not."""
        self._loading = "warm-up"
        try:
            left = max(0.0, START_BUDGET - (time.monotonic() - self._load_started))
            pipeline.warm_up(WARM_UP_SIZE, self._on_progress, budget=left)
        except BaseException:
            pipeline.close()
            raise
        finally:
            self._loading = ""
        frames = int(values["self_calibration"])
        if frames and values["language_model"] != "none":
            # After the blank image of the warm-up, which shows no place.
            pipeline.calibrate_itself(str(values["place"]), frames)
        for role, engine in pipeline.engines.items():
            self._log_progress(f"engine ({role}): {engine}")
        free_memory()
        self._log_progress(f"models loaded in {time.monotonic() - self._load_started:.1f} s")

    def _set_first_vocabulary(self, pipeline: Pipeline, values: Values) -> None:
        """The stored vocabulary if the parameters are those it began from, else that of the parameters."""
        stored = self._store.load(vocabulary_parameters(values))
        if stored is not None:
            try:
                for line in pipeline.adopt_vocabulary(stored):
                    self._report("vocabulary", line)
            except PerceptionError as error:
                self._report("vocabulary", f"the stored vocabulary is not looked for: {error}")
            else:
                return
        pipeline.adopt_vocabulary(self._store.label_ids())
        requested = node_parameters.requested_queries(values)
        if requested.queries or requested.distractors:
            pipeline.set_queries(*requested)

    def _on_progress(self, line: str) -> None:
        self._progress = line
        self._log_progress(line)

    def _log_progress(self, line: str) -> None:
        self._logger.info(line)

    def _report(self, kind: str, message: str) -> None:
        self._issues.add(kind, message)
        self._logger.warning(message)


def free_memory() -> None:
    """Returns memory that nobody refers to any more: to the system, and a GPU's to its other users."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    release_memory()
