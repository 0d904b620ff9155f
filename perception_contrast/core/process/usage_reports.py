"""Reports of their use that libraries would send to their makers: nothing leaves a robot unasked."""

from __future__ import annotations

import os
import sys

# By which OpenVINO and NNCF report each import and call to an analytics service; both do without it.
REPORTER = "openvino_telemetry"


def forbid_usage_reports() -> None:
    """Keeps OpenVINO, NNCF, ONNX Runtime, Ray and model hubs from reporting; to be called before they load.

    It also keeps the process whole: OpenVINO forks it for each report. The child of a process with many
    threads may wait for ever for a lock that one of them held, and keeps the parent's memory until then.
    What the environment says already stays.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # An entry of None makes an import raise ImportError, as if the library were not installed.
    sys.modules.setdefault(REPORTER, None)  # type: ignore[arg-type]
