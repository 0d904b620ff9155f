"""``python -m perception_contrast_training.bench.learning``."""

from __future__ import annotations

import sys

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.bench.learning.command import main

if __name__ == "__main__":
    try:
        sys.exit(main())
    except PerceptionError as error:
        sys.exit(f"bench-train: {error}")
    except KeyboardInterrupt:
        sys.exit("bench-train: stopped; the same command goes on")
