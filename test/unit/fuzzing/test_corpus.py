"""What was once read wrongly is read as documented."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fuzzing.findings import replayed_corpus
from fuzzing.registry import CORPUS, TARGETS, corpus_files, have_ros
from fuzzing.supervisor import WorkerProcess


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    worker = WorkerProcess()
    yield worker
    worker.close()


@pytest.mark.parametrize("target", [name for name in TARGETS if corpus_files(name)])
def test_kept_inputs_come_to_a_documented_end(worker: WorkerProcess, target: str) -> None:
    if TARGETS[target].ros and not have_ros():
        pytest.skip("needs rclpy and the built messages")
    assert [f"{one.place}\n{one.detail}" for one in replayed_corpus(target, worker)] == []


def test_every_folder_of_the_corpus_is_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)
