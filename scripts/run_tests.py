"""Runs pytest with the given arguments. Where CI is set, what failed is run once more in another process.

Nodes and pages wait for other processes, and a build machine may be busier than they bear. A fault of ours
fails both times. Both summaries are printed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

FAILED = Path(".pytest_cache/v/cache/lastfailed")
GROUP = re.compile(r"@(nodes|studio|test/[\w/]+\.py)$")
# More than that is no matter of patience.
MOST = 20


def failed_tests() -> list[str]:
    """Those of the last run, without the name of the group that xdist appends."""
    return sorted({GROUP.sub("", name) for name in json.loads(FAILED.read_text())})


def main() -> int:
    pytest = [sys.executable, "-m", "pytest"]
    code = subprocess.call([*pytest, "--cache-clear", *sys.argv[1:]])
    if code != 1 or not os.environ.get("CI") or not FAILED.is_file():
        return code
    names = failed_tests()
    if len(names) > MOST:
        return code
    print(f"run_tests: once more, in one process: {len(names)} that failed", flush=True)
    return subprocess.call([*pytest, *names])


if __name__ == "__main__":
    sys.exit(main())
