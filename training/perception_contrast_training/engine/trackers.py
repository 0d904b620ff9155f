"""Journals of experiment trackers: Weights & Biases and MLflow, on this machine alone unless told otherwise.

Both are optional packages. What they need to know of accounts and servers they read from their own
environment variables (``WANDB_MODE``, ``WANDB_PROJECT``, ``MLFLOW_TRACKING_URI``, ...). Without those nothing
leaves the machine: Weights & Biases writes an offline run into the run's folder, MLflow a local store.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import RecipeError, one_line

logger = logging.getLogger(__name__)

Logger = Literal["tensorboard", "wandb", "mlflow"]
PROJECT = "perception_contrast"  # of Weights & Biases, and experiment of MLflow
IDS = "trackers.json"  # in a run's folder: by which a resumed run goes on in the same entry
_PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow-skinny"}


def require_loggers(names: Sequence[Logger]) -> None:
    """Before a run reads any data. Raises RecipeError that names the first logger that is not installed."""
    for name in names:
        if find_spec(name) is None:
            raise RecipeError(
                f"loggers: '{name}' is not installed; `pip install {_PACKAGES[name]}`, or leave it out of "
                "loggers"
            )


class WandbJournal:
    """Figures in a run of Weights & Biases.

    Args:
        folder: The run's output folder; offline runs lie in ``wandb/``, and ``wandb sync`` sends them.
        recipe: What the entry shows as its configuration.
        identity: Of the entry that is gone on with, "" for a new one.

    Attributes:
        identity: Of the entry.
    """

    def __init__(self, folder: Path, recipe: Mapping[str, Any], identity: str = "") -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        mode: Any = os.environ.get("WANDB_MODE", "offline")
        settings = wandb.Settings(console="off", disable_code=True, disable_git=True, silent=True)
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=str(recipe.get("name") or folder.name),
            dir=str(folder),
            config=dict(recipe),
            mode=mode,
            id=identity or None,
            resume="allow" if identity else None,
            settings=settings,
        )
        self.identity = str(self._run.id)

    def note(self, step: int, figures: Mapping[str, float]) -> None:
        """As ``Journal.note``."""
        self._run.log(_finite(figures), step=step)

    def close(self) -> None:
        """As ``Journal.close``."""
        self._run.finish()


class MlflowJournal:
    """Figures in a run of MLflow.

    Args:
        folder: The run's output folder; the local store lies in ``mlflow/``.
        recipe: What the entry shows as its parameters.
        identity: Of the entry that is gone on with, "" for a new one.

    Attributes:
        identity: Of the entry.
    """

    def __init__(self, folder: Path, recipe: Mapping[str, Any], identity: str = "") -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        store = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder / 'mlflow.db').absolute()}"
        self._client, self._metric = MlflowClient(store), Metric
        name = str(recipe.get("name") or folder.name)
        self.identity = identity or self._new_run(name)
        if not identity:
            parameters = [Param(key, str(value)) for key, value in _flat(recipe)]
            self._client.log_batch(self.identity, params=parameters)
        self._client.update_run(self.identity, status="RUNNING")

    def _new_run(self, name: str) -> str:
        wanted = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        experiment = self._client.get_experiment_by_name(wanted)
        key = experiment.experiment_id if experiment else self._client.create_experiment(wanted)
        return str(self._client.create_run(key, run_name=name).info.run_id)

    def note(self, step: int, figures: Mapping[str, float]) -> None:
        """As ``Journal.note``."""
        import time

        now = int(time.time() * 1000)
        metrics = [self._metric(name, value, now, step) for name, value in _finite(figures).items()]
        self._client.log_batch(self.identity, metrics=metrics)

    def close(self) -> None:
        """As ``Journal.close``."""
        self._client.set_terminated(self.identity, "FINISHED")


class ForgivingJournal:
    """A tracker that fails is told once, then left out: it must not end what only its entries are about."""

    def __init__(self, name: str, journal: WandbJournal | MlflowJournal) -> None:
        self._name, self._journal, self._failed = name, journal, False

    def note(self, step: int, figures: Mapping[str, float]) -> None:
        """As ``Journal.note``."""
        if not self._failed:
            with self._forgiven():
                self._journal.note(step, figures)

    def close(self) -> None:
        """As ``Journal.close``."""
        with self._forgiven():
            self._journal.close()

    @contextmanager
    def _forgiven(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of a library, a server or a network
            self._failed = True
            logger.warning("'%s' gets no more figures of this run: %s", self._name, one_line(error))


_TRACKERS: dict[str, Callable[[Path, Mapping[str, Any], str], WandbJournal | MlflowJournal]] = {
    "wandb": WandbJournal,
    "mlflow": MlflowJournal,
}


def tracker_journals(
    folder: Path, names: Sequence[Logger], recipe: Mapping[str, Any]
) -> list[ForgivingJournal]:
    """Journals of the trackers among ``names``; a run that is resumed goes on in its entries.

    Args:
        folder: The run's output folder.
        names: ``loggers`` of the recipe.
        recipe: The settled recipe as plain values.

    Raises:
        RecipeError: A tracker cannot be started.
    """
    identities, found = _identities(folder), []
    for name in names:
        if name not in _TRACKERS:
            continue
        try:
            journal = _TRACKERS[name](folder, recipe, identities.get(name, ""))
        except Exception as error:  # of a library, a server or a network
            raise RecipeError(
                f"loggers: '{name}' cannot be started: {one_line(error)}; mend its settings, or leave it out "
                "of loggers"
            ) from error
        identities[name] = journal.identity
        found.append(ForgivingJournal(name, journal))
    if found:
        atomic_write(folder / IDS, (json.dumps(identities) + "\n").encode())
    return found


def _identities(folder: Path) -> dict[str, str]:
    try:
        stored = json.loads((folder / IDS).read_text("utf-8"))
        return {str(name): str(value) for name, value in stored.items()}
    except (OSError, ValueError, AttributeError):
        return {}  # new entries then


def _finite(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def _flat(stored: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Values by dotted key."""
    for key, value in stored.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value
