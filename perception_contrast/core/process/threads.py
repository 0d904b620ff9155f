"""Threads of the numeric libraries, settled before the first of them is imported."""

from __future__ import annotations

import os


def settle_threads(*, patient: bool = False) -> None:
    """Keeps NumPy's products to one thread: they are small here, and a second pool takes the encoders' turn.

    patient: threads that wait sleep instead of spinning, so that what else runs gets the processors. What
    the environment says already stays. Of no effect on libraries that are loaded.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if patient:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
