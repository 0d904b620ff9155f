"""Findings as files, and inputs run again from files."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from fuzzing.registry import TARGETS, corpus_files
from fuzzing.supervisor import Finding, WorkerProcess

_BATCH = 200


@dataclass
class Findings:
    """What was found so far, each cause once; an input of each is kept in ``folder``/TARGET/.

    Attributes:
        counts: (target, place) to how often it was met.
        files: (target, place) to the file of its input.
    """

    folder: Path
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    files: dict[tuple[str, str], Path] = field(default_factory=dict)

    def add(self, finding: Finding) -> bool:
        """Counts a finding, and keeps its input if its cause is new; says whether it is."""
        key = (finding.target, finding.place)
        self.counts[key] = self.counts.get(key, 0) + 1
        if key in self.files:
            return False
        name = f"{finding.kind}-{hashlib.sha256(finding.data).hexdigest()[:12]}"
        path = self.folder / finding.target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(finding.data)
        path.with_name(f"{name}.txt").write_text(
            f"{finding.place}\nreplay: {replay_line(path)}\n\n{finding.detail}\n", "utf-8", "replace"
        )
        self.files[key] = path
        return True


def replay_line(path: Path) -> str:
    """The command that runs an input again."""
    return f'make fuzz ARGS="--replay {path}"'


def target_of(path: Path) -> str:
    """The target of a kept input: its folder's name."""
    name = path.resolve().parent.name
    if name not in TARGETS:
        raise SystemExit(f"{path}: its folder must have the name of a target: {', '.join(TARGETS)}")
    return name


def replayed(
    target: str, files: list[Path], worker: WorkerProcess, place: str = ""
) -> tuple[dict[str, int], list[Finding]]:
    """Runs files once; how many came to which end, and what was found.

    place: of the target, where it is not one of TARGETS.
    """
    kinds: dict[str, int] = {}
    found: list[Finding] = []
    for begin in range(0, len(files), _BATCH):
        given = [base64.b64encode(path.read_bytes()).decode() for path in files[begin : begin + _BATCH]]
        answer, findings = worker.run(
            {"target": target, "place": place or TARGETS[target].place, "given": given, "minimise": False}
        )
        found += findings
        for kind, count in answer.get("kinds", {}).items():
            kinds[kind] = kinds.get(kind, 0) + count
    return kinds, found


def replayed_corpus(target: str, worker: WorkerProcess) -> list[Finding]:
    """What the target's kept inputs still come to that is not documented."""
    files = corpus_files(target)
    return replayed(target, files, worker)[1] if files else []
