"""Children of the demo: their output is kept, and none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perception_contrast.cli.demo.child_processes import Children

DEAF = (
    "import signal, time, sys\n"
    "for s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, signal.SIG_IGN)\n"
    "print('ready', flush=True)\n"
    "time.sleep(60)"
)


def alive(pid: int) -> bool:
    """False for a process that is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: object, timeout: float = 10.0) -> bool:
    assert callable(condition)
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


def test_the_last_words_of_a_child_that_fails() -> None:
    program = "import sys; print('first', flush=True); print('the reason', file=sys.stderr); sys.exit(3)"
    with Children() as children:
        child = children.start("teller", [sys.executable, "-c", program], os.environ)
        assert wait_until(lambda: children.ended() is child)
        assert child.exit_code() == 3
        assert child.last_lines(1) == ["the reason"]
        assert sorted(child.new_lines()) == ["first", "the reason"]
        assert child.new_lines() == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_deaf_child_and_a_grandchild_are_killed() -> None:
    grandparent = (
        "import subprocess, sys\n"
        f"p = subprocess.Popen([sys.executable, '-c', {DEAF!r}])\n"
        "print(p.pid, flush=True); p.wait()"
    )
    with Children(patience=0.3) as children:
        deaf = children.start("deaf", [sys.executable, "-c", DEAF], os.environ)
        family = children.start("family", [sys.executable, "-c", grandparent], os.environ)
        assert wait_until(lambda: deaf.last_lines(1) == ["ready"] and len(family.last_lines(9)) == 2)
        grandchild = int(next(line for line in family.last_lines(9) if line.isdigit()))
        assert alive(deaf.pid) and alive(grandchild)
    assert not alive(deaf.pid) and not alive(family.pid)
    assert wait_until(lambda: not alive(grandchild))
    assert deaf.exit_code() == -signal.SIGKILL


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs PR_SET_PDEATHSIG")
def test_children_die_with_a_parent_that_is_killed(repository: Path) -> None:
    parent = (
        "import os, sys, time\n"
        "from perception_contrast.cli.demo.child_processes import Children\n"
        "with Children() as children:\n"
        f"    print(children.start('deaf', [sys.executable, '-c', {DEAF!r}], os.environ).pid, flush=True)\n"
        "    time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], cwd=repository, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert alive(pid)
        process.kill()
    assert wait_until(lambda: not alive(pid))
