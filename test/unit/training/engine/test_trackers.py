"""Weights & Biases offline and MLflow in a local store: what they hold is read back with their own code."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.engine import trackers
from perception_contrast_training.engine.trackers import Logger, require_loggers, tracker_journals

FIGURES = ((1, {"loss": 2.5, "held out/kNN": 0.25}), (2, {"loss": 1.5, "loss/nan": float("nan")}))
RECIPE: dict[str, Any] = {"name": "tiny", "optimisation": {"steps": 3, "betas": [0.9, 0.999]}}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without accounts and servers of whoever runs the tests."""
    for name in ("WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    yield


def written(folder: Path, name: Logger) -> str:
    """Of a run that is interrupted after two steps and goes on; the identity of its entry."""
    for steps in (FIGURES, ((3, {"loss": 0.5}),)):
        (journal,) = tracker_journals(folder, [name], RECIPE)
        for step, figures in steps:
            journal.note(step, figures)
        journal.close()
    return str(json.loads((folder / trackers.IDS).read_text())[name])


def test_mlflow_holds_figures_and_recipe_in_a_local_store(tmp_path: Path) -> None:
    identity = written(tmp_path, "mlflow")
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    run = client.get_run(identity)
    assert (run.info.run_name, run.info.status) == ("tiny", "FINISHED")
    told = {"name": "tiny", "optimisation.steps": "3", "optimisation.betas": "[0.9, 0.999]"}
    assert run.data.params == told
    history = client.get_metric_history(identity, "loss")
    assert [(one.step, one.value) for one in history] == [(1, 2.5), (2, 1.5), (3, 0.5)]
    assert run.data.metrics == {"loss": 0.5, "held out/kNN": 0.25}, "what is not finite is left out"


def records(path: Path) -> Iterator[bytes]:
    """Of a .wandb file: LevelDB's log of records in blocks of 32 KiB, after seven bytes of its own."""
    data, place, held = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        held += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield held
            held = b""


def test_wandb_writes_a_run_that_stays_on_this_machine(tmp_path: Path) -> None:
    identity = written(tmp_path, "wandb")
    import wandb

    wandb.teardown()  # its own process writes the last records
    from wandb.proto.wandb_internal_pb2 import Record

    figures: dict[int, dict[str, float]] = {}
    config: dict[str, Any] = {}
    runs = sorted(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    assert len(runs) == 2 and {path.stem for path in runs} == {f"run-{identity}"}
    for path in runs:
        for data in records(path):
            record = Record()
            record.ParseFromString(data)
            for item in record.run.config.update:
                config[item.key] = json.loads(item.value_json)
            items = record.history.item
            row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}
            if row:
                figures[row.pop("_step")] = {k: v for k, v in row.items() if not k.startswith("_")}
    assert figures == {1: {"loss": 2.5, "held out/kNN": 0.25}, 2: {"loss": 1.5}, 3: {"loss": 0.5}}
    assert config["name"] == "tiny" and config["optimisation"]["steps"] == 3


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None if name == "mlflow" else object())
    require_loggers(["wandb", "tensorboard"])
    with pytest.raises(PerceptionError, match="'mlflow' is not installed; `pip install mlflow-skinny`"):
        require_loggers(["wandb", "mlflow"])


def test_a_tracker_that_cannot_start_is_told_and_one_that_fails_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        identity = "x"

        def __init__(self, folder: Path, recipe: object, identity: str) -> None:
            if folder.name == "full":
                raise OSError("no space")

        def note(self, step: int, figures: object) -> None:
            raise ConnectionError("the server is gone\nat 10")

        def close(self) -> None: ...

    monkeypatch.setitem(trackers._TRACKERS, "wandb", Failing)
    with pytest.raises(PerceptionError, match="'wandb' cannot be started: no space; mend its settings"):
        tracker_journals(tmp_path / "full", ["wandb"], RECIPE)
    (journal,) = tracker_journals(tmp_path, ["tensorboard", "wandb"], RECIPE)
    for step in (1, 2):
        journal.note(step, {"loss": 1.0})
    journal.close()
    assert caplog.text.count("'wandb' gets no more figures of this run: the server is gone") == 1
