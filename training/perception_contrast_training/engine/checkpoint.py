"""A run on disk: one safetensors file a checkpoint, whole or not there, from which it goes on exactly."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from perception_contrast.core.cache import atomic_write, replacing
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.file_writing import is_out_of_space
from perception_contrast_training.engine.random_streams import RandomState
from perception_contrast_training.engine.sharding import whole

logger = logging.getLogger(__name__)

FORMAT, VERSION = "perception_contrast training checkpoint", 2
READABLE = (1, VERSION)  # version 1 has no averaged weights and no random state
BEST = "best.json"
_FACTS_BYTES = 1_000_000  # of a checkpoint beside its tensors, roughly
_NAME = re.compile(r"step_(\d{9})\.safetensors")


class CheckpointError(PerceptionError):
    """A checkpoint that cannot be written or read; earlier ones are as they were."""


class NoSpaceError(CheckpointError):
    """A checkpoint that the disk has no room for."""


@dataclass(frozen=True)
class Snapshot:
    """What a run is at a step: all that it needs to go on as if it had never stopped.

    Attributes:
        method: The method's tensors by name, networks and centres.
        optimiser: ``Optimizer.state_dict()``.
        step: Optimiser steps done.
        batches: Batches taken, skipped ones too.
        skipped: Batches that were skipped because something was not finite.
        scaler: ``GradScaler.state_dict()``, empty without one.
        average: Averaged weights by the names of ``method``, empty without an average.
        random: State of random streams that continue, None where each batch has a seed of its own.
        about: More that JSON holds.
    """

    method: Mapping[str, Tensor]
    optimiser: Mapping[str, Any]
    step: int
    batches: int
    skipped: int = 0
    scaler: Mapping[str, Any] = field(default_factory=dict)
    average: Mapping[str, Tensor] = field(default_factory=dict)
    random: RandomState | None = None
    about: Mapping[str, Any] = field(default_factory=dict)


class StoredSnapshot(NamedTuple):
    """A snapshot with the file that it was read from."""

    path: Path
    snapshot: Snapshot


class BestCheckpoint(NamedTuple):
    """The step of the best checkpoint, and the figure that says so (more is better)."""

    step: int
    figure: float


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Writes a snapshot so that the file is there whole, even after a power cut, or not at all.

    Raises CheckpointError, NoSpaceError.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors, aliases = _without_aliases(
        {f"method/{name}": value for name, value in snapshot.method.items()}
        | {f"average/{name}": value for name, value in snapshot.average.items()}
    )
    if snapshot.random is not None:
        tensors["random/torch"] = snapshot.random.torch
    slots: dict[str, dict[str, Any]] = {}
    for number, values in snapshot.optimiser["state"].items():
        plain = slots.setdefault(str(number), {})
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimiser/{number}/{name}"] = value.detach().contiguous()
            else:
                plain[name] = value
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "step": snapshot.step,
        "batches": snapshot.batches,
        "skipped": snapshot.skipped,
        "aliases": aliases,
        "optimiser": {"groups": snapshot.optimiser["param_groups"], "plain": slots},
        "scaler": dict(snapshot.scaler),
        "random": None if snapshot.random is None else dict(snapshot.random.numpy),
        "about": dict(snapshot.about),
    }
    try:
        with replacing(path) as part:
            save_file(tensors, str(part), {"facts": json.dumps(facts)})
            _sync(part)
        _sync(path.parent)
    except (OSError, SafetensorError) as error:
        kind = NoSpaceError if is_out_of_space(error) else CheckpointError
        raise kind(_write_failure(path, tensors, error)) from error


def _sync(path: Path) -> None:
    """Waits until the disk has it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_failure(path: Path, tensors: Mapping[str, Tensor], error: Exception) -> str:
    size = sum(value.numel() * value.element_size() for value in tensors.values()) / 1e6
    if is_out_of_space(error):
        return (
            f"no space for checkpoint {path} ({size:.0f} MB): {error}. The ones before it are intact; "
            "make room, keep fewer (checkpoints.keep), or resume with another output"
        )
    return f"checkpoint {path} cannot be written: {error}. The ones before it are intact"


def _without_aliases(named: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors that share all their memory stand once; the other names say where."""
    kept: dict[str, Tensor] = {}
    first: dict[tuple[object, ...], str] = {}
    aliases: dict[str, str] = {}
    for name, value in named.items():
        value = value.detach()
        place = (value.data_ptr(), value.shape, value.stride(), value.dtype, str(value.device))
        if value.numel() and place in first:
            aliases[name] = first[place]
            continue
        first[place] = name
        # Parts of one storage would be refused.
        apart = value.untyped_storage().nbytes() != value.numel() * value.element_size()
        kept[name] = value.clone() if apart else value.contiguous()
    return kept, aliases


def read_snapshot(path: Path) -> Snapshot:
    """A snapshot as ``write_snapshot`` wrote it, on the CPU. Raises CheckpointError; the file stays."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            facts = json.loads((file.metadata() or {})["facts"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if facts["format"] != FORMAT or facts["version"] not in READABLE:
            raise CheckpointError(f"{path} is version {facts['version']} of '{facts['format']}'; {_REMEDY}")
        return _snapshot(facts, tensors)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is no readable checkpoint ({error}); {_REMEDY}") from error


_REMEDY = "resume from an earlier one: move this file away"


def _snapshot(facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Snapshot:
    every = {**tensors, **{name: tensors[same] for name, same in facts["aliases"].items()}}
    state: dict[int, dict[str, Any]] = {
        int(number): dict(plain) for number, plain in facts["optimiser"]["plain"].items()
    }
    named: dict[str, dict[str, Tensor]] = {"method": {}, "average": {}, "random": {}}
    for name, value in every.items():
        kind, _, rest = name.partition("/")
        if kind in named:
            named[kind][rest] = value
        else:
            number, _, slot = rest.partition("/")
            state.setdefault(int(number), {})[slot] = value
    numpy = facts.get("random")
    return Snapshot(
        method=named["method"],
        optimiser={"state": state, "param_groups": facts["optimiser"]["groups"]},
        step=facts["step"],
        batches=facts["batches"],
        skipped=facts["skipped"],
        scaler=facts["scaler"],
        average=named["average"],
        random=None if numpy is None else RandomState(named["random"]["torch"], numpy),
        about=facts["about"],
    )


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Fills a module with a snapshot's tensors. Raises CheckpointError if they are another module's."""
    try:
        module.load_state_dict(dict(tensors), strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"{path} does not fit the recipe's method: {reason}; resume with the recipe and the version "
            "that it was made with, or start anew in another folder"
        ) from error


class Checkpoints:
    """The checkpoints of a run: the last ``keep`` and the best one stay.

    folder: where they lie, as ``step_000001200.safetensors``.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self._keep = folder, max(1, keep)

    def steps(self) -> list[int]:
        """Of all that are there, ascending."""
        if not self.folder.is_dir():
            return []
        return sorted(int(m[1]) for p in self.folder.iterdir() if (m := _NAME.fullmatch(p.name)))

    def path_of(self, step: int) -> Path:
        return self.folder / f"step_{step:09d}.safetensors"

    def write(self, snapshot: Snapshot, figure: float | None = None) -> Path:
        """Adds a checkpoint. figure: how good it is, more is better. Raises CheckpointError.

        Where the disk has no room for it, the oldest ones go first that would go after it anyway.
        """
        path = self.path_of(snapshot.step)
        if _free_bytes(self.folder) < _bytes_of(snapshot):
            self._make_room(path)
        try:
            write_snapshot(path, snapshot)
        except NoSpaceError:
            # A quota, or another program that was faster: the free space did not tell.
            if not self._make_room(path):
                raise
            write_snapshot(path, snapshot)
        best = self.best()
        if figure is not None and (best is None or figure > best.figure):
            self._note_best(snapshot.step, figure)
        self._prune()
        return path

    def best(self) -> BestCheckpoint | None:
        """The best one that is there."""
        try:
            noted = json.loads((self.folder / BEST).read_text())
            step, figure = int(noted["step"]), float(noted["figure"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return BestCheckpoint(step, figure) if self.path_of(step).is_file() else None

    def newest(self) -> StoredSnapshot | None:
        """The last one that can be read, None where there is none. Raises CheckpointError if none can be."""
        failures: Sequence[str] = []
        for step in reversed(self.steps()):
            path = self.path_of(step)
            try:
                return StoredSnapshot(path, read_snapshot(path))
            except CheckpointError as error:
                failures = [*failures, str(error)]
                logger.warning("%s", error)
        if failures:
            raise CheckpointError(failures[0])
        return None

    def clear(self) -> None:
        """Deletes them all."""
        for step in self.steps():
            self.path_of(step).unlink(missing_ok=True)
        (self.folder / BEST).unlink(missing_ok=True)

    def _note_best(self, step: int, figure: float) -> None:
        try:
            atomic_write(
                self.folder / BEST,
                json.dumps({"step": step, "figure": figure, "file": self.path_of(step).name}).encode(),
            )
        except OSError as error:
            raise CheckpointError(f"{self.folder / BEST} cannot be written: {error}") from error

    def _prune(self) -> None:
        self._delete_all_but(self._keep)

    def _make_room(self, path: Path) -> bool:
        """Deletes what goes anyway once ``path`` is written, never the newest one; False if there is none."""
        # Of the others that stay beside the new one, the newest is what a run goes on from until then.
        gone = self._delete_all_but(max(1, self._keep - 1), but=path)
        if gone:
            logger.warning(
                "the disk is full: deleted the checkpoint(s) of step %s before %s is written",
                ", ".join(map(str, gone)), path.name,
            )  # fmt: skip
        return bool(gone)

    def _delete_all_but(self, newest: int, but: Path | None = None) -> list[int]:
        """Deletes old checkpoints, not the best one and the last ``newest`` beside ``but``; their steps."""
        best = self.best()
        others = [step for step in self.steps() if self.path_of(step) != but]
        gone = [step for step in others[:-newest] if best is None or step != best.step]
        for step in gone:
            self.path_of(step).unlink(missing_ok=True)
        # What a killed process left half written.
        for part in self.folder.glob(".step_*.part"):
            part.unlink(missing_ok=True)
        return gone


def _free_bytes(folder: Path) -> int:
    """Of the disk that a folder is on, or will be on."""
    place = next(one for one in (folder, *folder.absolute().parents) if one.is_dir())
    return shutil.disk_usage(place).free


def _bytes_of(snapshot: Snapshot) -> int:
    """About what it takes on a disk."""
    slots = [value for values in snapshot.optimiser["state"].values() for value in values.values()]
    tensors = [*snapshot.method.values(), *snapshot.average.values(), *slots]
    return _FACTS_BYTES + sum(one.numel() * one.element_size() for one in tensors if isinstance(one, Tensor))


def cpu_copy(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies that nothing changes any more."""
    full = {name: whole(value) for name, value in tensors.items()}
    return {name: torch.empty_like(v, device="cpu").copy_(v) for name, v in full.items()}
