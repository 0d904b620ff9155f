"""A run of the fuzzer: slices of all targets in turn, by one or more workers."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fuzzing.findings import Findings, replay_line, replayed_corpus
from fuzzing.registry import Entry
from fuzzing.supervisor import Finding, WorkerProcess
from fuzzing.tally import Tally

_LONGEST_SLICE = 5.0
_SLICES = 16
_LINE_EVERY = 30.0


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes:
        targets: By name.
        seconds: Of the whole run; 0 where ``inputs`` limits it.
        inputs: Of each target; 0 where ``seconds`` limits it.
        seed: Of everything that is random.
        workers: Processes, each with its own targets.
        folder: For the inputs of findings.
    """

    targets: Mapping[str, Entry]
    seconds: float = 0.0
    inputs: int = 0
    seed: int = 1
    workers: int = 1
    folder: Path = Path("runs/fuzz")


@dataclass
class Run:
    """A plan under way.

    Attributes:
        tallies: By target.
        findings: Each cause once.
    """

    plan: Plan
    tallies: dict[str, Tally] = field(default_factory=dict)
    findings: Findings = field(init=False)

    def __post_init__(self) -> None:
        self.tallies = {name: Tally() for name in self.plan.targets}
        self.findings = Findings(self.plan.folder)
        self._begin, self._lock, self._stop = time.monotonic(), threading.Lock(), threading.Event()
        self._told, self._errors = 0.0, queue.Queue[BaseException]()

    def go(self) -> None:
        """Runs to the end of the budget, or until it is interrupted."""
        threads = [
            threading.Thread(target=self._work, args=(number,), daemon=True)
            for number in range(min(self.plan.workers, len(self.plan.targets)))
        ]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                time.sleep(0.2)
                self._tell()
        except KeyboardInterrupt:
            print("\ninterrupted; the slices under way are finished first", file=sys.stderr)
        self._stop.set()
        for thread in threads:
            thread.join()
        if not self._errors.empty():
            raise self._errors.get()
        for name, tally in self.tallies.items():
            for leak in tally.leaks():
                self._found(Finding(name, "growth", leak, leak, tally.slowest[1]))
        if sys.stderr.isatty():
            print(file=sys.stderr)

    def _work(self, number: int) -> None:
        targets = tuple(self.plan.targets)[number :: self.plan.workers]
        worker = WorkerProcess()
        try:
            for name in targets:
                for finding in replayed_corpus(name, worker):
                    self._found(finding)
            for turn in range(1_000_000):
                if self._turn(turn, targets, worker):
                    return
        except BaseException as error:
            self._errors.put(error)
        finally:
            worker.close()

    def _turn(self, turn: int, targets: tuple[str, ...], worker: WorkerProcess) -> bool:
        """A slice of each target; says whether that was the last one."""
        for name in targets:
            order = {
                "target": name,
                "place": self.plan.targets[name].place,
                "seed": self.plan.seed,
                "number": turn,
            }
            if self.plan.inputs:
                share = -(-self.plan.inputs // _SLICES)
                order["inputs"] = min(share, self.plan.inputs - turn * share)
                if order["inputs"] <= 0:
                    return True
            else:
                order["seconds"] = min(
                    _LONGEST_SLICE, self.plan.seconds / len(self.plan.targets) / _SLICES * self.plan.workers
                )
                # The first slice of every target is run, however long the start took.
                if turn and time.monotonic() - self._begin >= self.plan.seconds:
                    return True
            if self._stop.is_set():
                return True
            answer, findings = worker.run(order)
            with self._lock:
                self.tallies[name].add(answer, len(findings))
            for finding in findings:
                self._found(finding)
        return False

    def _found(self, finding: Finding) -> None:
        with self._lock:
            if self.findings.add(finding):
                path = self.findings.files[finding.target, finding.place]
                print(
                    f"\nfound in {finding.target}: {finding.place}\n  {replay_line(path)}",
                    file=sys.stderr,
                    flush=True,
                )

    def _tell(self) -> None:
        """How far it is: in place on a terminal, else a line now and then."""
        now, terminal = time.monotonic(), sys.stderr.isatty()
        if now - self._told < (0.5 if terminal else _LINE_EVERY):
            return
        self._told = now
        with self._lock:
            inputs = sum(one.inputs for one in self.tallies.values())
            causes = len(self.findings.files)
        seconds = now - self._begin
        rate, left = inputs / seconds, self._left(inputs, seconds)
        text = f"{inputs:,} inputs, {rate:,.0f} a second, {causes} findings, {left}"
        print(
            f"\r{text}\033[K" if terminal else text, end="" if terminal else "\n", file=sys.stderr, flush=True
        )

    def _left(self, inputs: int, seconds: float) -> str:
        if not self.plan.inputs:
            left = self.plan.seconds - seconds
        else:
            all_ = self.plan.inputs * len(self.plan.targets)
            left = (all_ - inputs) * seconds / inputs if inputs else 0.0
        return f"{max(0.0, left) / 60:.1f} min left"
