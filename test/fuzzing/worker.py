"""The process that runs inputs: what it is at stands in shared memory, so that its end can be explained.

It takes orders and answers as lines of JSON: ``python -m fuzzing.worker CURRENT SCRATCH`` with the orders on
its standard input and the answers on file descriptor 3.
"""

from __future__ import annotations

import base64
import ctypes
import faulthandler
import gc
import json
import logging
import mmap
import os
import re
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from fuzzing.mutations import MOST_BYTES, mutated
from fuzzing.registry import corpus_files, opened_target
from fuzzing.target import Target

CURRENT = struct.Struct("<dI")  # when the input began (time.monotonic; 0: none), its length
CURRENT_BYTES = CURRENT.size + 2 * MOST_BYTES
ADDRESS_SPACE = 6 << 30
"""Bytes that a worker may reserve beyond what its libraries have."""

PEAK = 1536 << 20
"""Bytes of memory that one input may take."""

_PR_SET_PDEATHSIG = 1
_MOST_POOL = 400
_STRUCTURED = 0.6
_FROM_SEEDS = 0.6
_QUICK = 0.02
_MINIMISING_SECONDS = 4.0
_SHOWN = re.compile(r"'[^']*'|\"[^\"]*\"|[\d.]+|/\S+")
_PROJECT = ("/perception_contrast/", "/perception_contrast_training/", "/test/fuzzing/targets/")


@dataclass
class Verdict:
    """What an input came to.

    Attributes:
        kind: "accepted", the name of a documented error, or that of an undocumented one.
        outcome: The kind with what the message says, without names and numbers: inputs with a new one are
            kept to mutate further.
        finding: Identifies an undocumented error by its kind and place; "" for none.
        detail: Its traceback.
    """

    kind: str
    outcome: str
    finding: str = ""
    detail: str = ""


@dataclass
class _State:
    """A target while its worker lives.

    Attributes:
        seeds: Where mutations begin for the most part.
        pool: The seeds, and inputs with a new outcome: most of these are refused, each for another reason.
        outcomes: Met so far.
    """

    target: Target
    seeds: list[bytes]
    pool: list[bytes]
    outcomes: set[str] = field(default_factory=set)


class Worker:
    """Runs slices of inputs.

    Args:
        current: A file of CURRENT_BYTES, for the input at hand.
        scratch: An empty folder.
    """

    def __init__(self, current: Path, scratch: Path) -> None:
        with current.open("r+b") as file:
            self._current = mmap.mmap(file.fileno(), CURRENT_BYTES)
        self._scratch, self._states = scratch, dict[str, _State]()
        self._peak, self._most = 0, PEAK

    def slice(self, order: dict[str, Any]) -> dict[str, Any]:
        """Runs inputs of one target: those given, or mutations for some seconds or up to a number."""
        state = self.state(order)
        state.target.begin()
        kinds: Counter[str] = Counter()
        findings, slowest = [], (0.0, b"")
        before = resident()
        self._peak, self._most = peak(), order.get("most_memory", PEAK)
        for data in self._inputs(state, order):
            began = time.perf_counter()
            verdict = self.judge(state.target, data)
            seconds = time.perf_counter() - began
            kinds[verdict.kind] += 1
            if seconds > slowest[0]:
                slowest = (seconds, data)
            if verdict.finding:
                findings.append(self._reported(state.target, verdict, data, order.get("minimise", True)))
            elif verdict.outcome not in state.outcomes:
                state.outcomes.add(verdict.outcome)
                _keep(state.pool, data)
        return {
            "kinds": dict(kinds),
            "findings": findings,
            "slowest": [slowest[0], base64.b64encode(slowest[1]).decode()],
            "before": before,
            "after": resident(),
            "files": len(list(Path("/proc/self/fd").iterdir())),
            "left": len(list(Path(tempfile.gettempdir()).iterdir())),
        }

    def state(self, order: dict[str, Any]) -> _State:
        """The state of an order's target, which is opened if it is not yet."""
        name = order["target"]
        if name not in self._states:
            folder = self._scratch / name
            folder.mkdir()
            target = opened_target(order["place"], folder)
            seeds = target.seeds()
            pool = seeds + [path.read_bytes() for path in corpus_files(name)]
            self._states[name] = _State(target, seeds, pool)
        return self._states[name]

    def _inputs(self, state: _State, order: dict[str, Any]) -> Iterator[bytes]:
        if "given" in order:
            yield from (base64.b64decode(one) for one in order["given"])
            return
        if order["number"] == 0:
            yield from list(state.pool)
        rng = Random(f"{order['seed']}/{order['target']}/{order['number']}")
        end, most = time.monotonic() + order.get("seconds", 1e9), order.get("inputs")
        for number in count():
            if time.monotonic() >= end or number == most:
                return
            yield mutant(rng, state)

    def judge(self, target: Target, data: bytes) -> Verdict:
        """Runs one input."""
        self._current[CURRENT.size : CURRENT.size + len(data)] = data
        began = time.monotonic()
        self._current[: CURRENT.size] = CURRENT.pack(began, len(data))
        try:
            target.run(data)
            verdict = Verdict("accepted", "accepted")
        except target.allowed as error:
            verdict = Verdict(
                type(error).__name__, f"{type(error).__name__} {_SHOWN.sub('', str(error))[:200]}"
            )
        except (KeyboardInterrupt, SystemExit) as error:
            verdict = _undocumented(error)
        except BaseException as error:  # panics of Rust derive from this
            verdict = _undocumented(error)
        finally:
            self._current[: CURRENT.size] = CURRENT.pack(0.0, len(data))
        # To fill much memory takes longer than to ask how much it was.
        quick = time.monotonic() - began < _QUICK
        return verdict if verdict.finding or quick else self._with_memory(verdict)

    def _with_memory(self, verdict: Verdict) -> Verdict:
        taken = peak() - self._peak
        if taken <= self._most:
            return verdict
        self._peak = peak()
        return Verdict("memory", "memory", "memory peak", f"{taken >> 20} MB more than before this slice")

    def _reported(self, target: Target, verdict: Verdict, data: bytes, minimise: bool) -> dict[str, str]:
        small = self._minimised(target, verdict, data) if minimise else data
        return {
            "kind": verdict.kind,
            "finding": verdict.finding,
            "detail": verdict.detail,
            "input": base64.b64encode(small).decode(),
        }

    def _minimised(self, target: Target, verdict: Verdict, data: bytes) -> bytes:
        """Without the parts that the same finding comes without."""
        if verdict.kind == "memory":
            return data
        end, size = time.monotonic() + _MINIMISING_SECONDS, len(data) // 2
        while size >= 1:
            at = 0
            while at < len(data):
                shorter = data[:at] + data[at + size :]
                if time.monotonic() > end:
                    return data
                if self.judge(target, shorter).finding == verdict.finding:
                    data = shorter
                else:
                    at += size
            size //= 2
        return data


def mutant(rng: Random, state: _State) -> bytes:
    """One input made of one or two of the pool."""
    data = rng.choice(state.seeds if rng.random() < _FROM_SEEDS else state.pool)
    other = rng.choice(state.pool)
    known = state.target.mutations
    if known and rng.random() < _STRUCTURED:
        try:
            data = rng.choice(known)(rng, data)
        except (ValueError, TypeError, IndexError, KeyError, OverflowError, RecursionError, struct.error):
            return mutated(rng, data, other)  # earlier mutations left too little of its structure
        if rng.random() < 0.85:
            return data[:MOST_BYTES]
    return mutated(rng, data, other)


def _keep(pool: list[bytes], data: bytes) -> None:
    if len(pool) < _MOST_POOL and len(data) <= MOST_BYTES:
        pool.append(data)


def _undocumented(error: BaseException) -> Verdict:
    kind = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    ours = [one for one in frames if any(part in one.filename for part in _PROJECT)]
    places = [f"{Path(one.filename).name}:{one.name}" for one in (*ours[-1:], *frames[-1:])]
    text = "".join(traceback.format_exception(error, limit=-12))[-6000:]
    return Verdict(kind, kind, f"{kind} in {' / '.join(dict.fromkeys(places))}", text)


def resident() -> int:
    """Bytes of memory in use, once what is free was given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def peak() -> int:
    """Most bytes of memory that this program ever had in use; getrusage counts what ran before exec too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


def _settle(scratch: Path) -> None:
    """Limits, and quiet libraries."""
    # Nobody would end a worker that hangs when the process that began it is gone.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    temporary = scratch / "tmp"
    temporary.mkdir()
    tempfile.tempdir = str(temporary)
    import cv2

    cv2.setNumThreads(1)
    logging.disable(logging.CRITICAL)
    sys.setrecursionlimit(1000)


def _limit_memory() -> None:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + ADDRESS_SPACE, resource.RLIM_INFINITY))


def main() -> None:
    """Serves orders until standard input ends."""
    current, scratch = Path(sys.argv[1]), Path(sys.argv[2])
    _settle(scratch)
    worker = Worker(current, scratch)
    with os.fdopen(3, "w") as answers:
        for line in sys.stdin:
            order = json.loads(line)
            worker.state(order)
            _limit_memory()
            os.ftruncate(2, 0)
            print(json.dumps(worker.slice(order)), file=answers, flush=True)


if __name__ == "__main__":
    main()
