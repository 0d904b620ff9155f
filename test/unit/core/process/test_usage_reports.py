"""OpenVINO's and NNCF's import sends no report, writes no number of the user, and forks nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAM = """
import sys
WATCHED = ("os.fork", "socket.connect", "socket.getaddrinfo")
def watch(event, arguments):
    if event in WATCHED:
        print(event, flush=True)
sys.addaudithook(watch)
from perception_contrast.engines.openvino_model import openvino_core
openvino_core("openvino")
import nncf
"""


@pytest.mark.skipif(not all(map(find_spec, ("openvino", "nncf"))), reason="needs OpenVINO and NNCF")
def test_libraries_do_not_report_that_they_are_used(tmp_path: Path) -> None:
    # They report nothing of machines that build software.
    hushing = ("CI", "TF_BUILD", "JENKINS_URL", "NNCF_CI", "NNCF_DEV")
    environment = {name: value for name, value in os.environ.items() if name not in hushing}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert ended.stdout == ""
    assert not (tmp_path / "intel").exists()
