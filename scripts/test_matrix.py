"""Runs the ROS tests under each Python and NumPy that the node is promised to work with.

make test-matrix                          all that this machine has Pythons for
make test-matrix ARGS="--only py310-numpy1 --tests test/ros/test_perception_node.py"

Each gets an environment of its own in build/matrix (several GB, kept for the next run), our messages built
for its Python. A Python that is not there is said to be so, and is no failure unless --strict is given.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "matrix"
MARKS = "ros and not slow and not hub and not gpu"


@dataclass(frozen=True)
class Entry:
    """python: minor version. numpy: a requirement."""

    python: str
    numpy: str

    @property
    def name(self) -> str:
        generation = "1" if "<2" in self.numpy else "2"
        return f"py{self.python.replace('.', '')}-numpy{generation}"


# NumPy 1.26 is what the messages of Humble and Jazzy were compiled for on Ubuntu; the wheels take both.
MATRIX = tuple(
    Entry(python, numpy) for python in ("3.10", "3.12") for numpy in ("numpy>=1.26,<2", "numpy>=2,<3")
)


def find_python(version: str) -> str | None:
    """A working interpreter of that minor version, from the PATH, uv or pyenv."""
    found = [shutil.which(f"python{version}")]
    if uv := shutil.which("uv"):
        done = subprocess.run([uv, "python", "find", version], capture_output=True, text=True, check=False)
        found.append(done.stdout.strip() or None)
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found += [str(path) for path in sorted(versions.glob(f"{version}.*/bin/python{version}"))]
    for python in found:
        # pyenv leaves commands on the PATH for versions that are not chosen.
        if python and subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
            return python
    return None


def environment(entry: Entry, folder: Path) -> dict[str, str]:
    """Of the commands of one entry, free of the environment that this script runs in."""
    ours = {
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "AMENT_PREFIX_PATH",
        "CMAKE_PREFIX_PATH",
        "LD_LIBRARY_PATH",
        "ROS_DISTRO",
    }
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    constraints = folder.with_suffix(".txt")
    constraints.write_text(f"{entry.numpy}\n")
    return {
        **kept,
        "PERCEPTION_CONTRAST_VENV": str(folder),
        "PERCEPTION_CONTRAST_CONSTRAINTS": str(constraints),
    }


def run(entry: Entry, tests: list[str]) -> tuple[bool, str]:
    """Whether the entry holds, and its line of the table."""
    python = find_python(entry.python)
    if python is None:
        return (
            True,
            f"not run: no Python {entry.python} here; install one, or `uv python install {entry.python}`",
        )
    folder = FOLDER / entry.name
    FOLDER.mkdir(parents=True, exist_ok=True)
    env = environment(entry, folder)
    print(f"test-matrix: {entry.name}: setting up in {folder}", flush=True)
    set_up = [python, "-S", "-E", str(ROOT / "scripts" / "set_up.py"), "--without", "weights", "assets"]
    if subprocess.run(set_up, env=env, cwd=ROOT, check=False).returncode != 0:
        return False, "set-up failed, see above"
    began = time.monotonic()
    enter = (
        'source ./env.sh && python -c "import sys, numpy; print(sys.version.split()[0], numpy.__version__)"'
    )
    words = " ".join(f"'{test}'" for test in tests)
    command = f"{enter} && exec python -m pytest -q -m '{MARKS}' -p no:cacheprovider {words}"
    log = folder.with_suffix(".log")
    with log.open("w") as output:
        done = subprocess.run(
            ["bash", "-c", command], env=env, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    text = log.read_text(errors="replace").splitlines()
    versions = next((line for line in text if re.fullmatch(r"3\.\d+\.\d+ \d+\.\d+\.\d+", line)), "?")
    summary = text[-1].strip("= ") if text else "no output"
    line = f"Python and NumPy {versions}: {summary} ({time.monotonic() - began:.0f} s; {log})"
    return done.returncode == 0, line


def main() -> int:
    parser = argparse.ArgumentParser(prog="make test-matrix", description=__doc__)
    names = [entry.name for entry in MATRIX]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="entries to run")
    parser.add_argument("--tests", nargs="+", default=["test"], help="test files or folders")
    parser.add_argument("--strict", action="store_true", help="a Python that is not there is a failure")
    arguments = parser.parse_args()
    lines, good = [], True
    for entry in MATRIX:
        if entry.name in arguments.only:
            held, line = run(entry, arguments.tests)
            good = good and held and not (arguments.strict and line.startswith("not run"))
            lines.append(f"{entry.name:14} {'ok    ' if held else 'FAILED'} {line}")
            print(lines[-1], flush=True)
    print("\n".join(["", "test-matrix:", *lines]))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
