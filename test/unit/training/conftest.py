"""What tests of several rooms of training share: one small Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Any]:
    """Ray on this machine, started once; tests that use it are of xdist's group "ray"."""
    from perception_contrast_training.fleet.on_ray import joined

    with joined("local", cpus=2) as ray:
        yield ray
