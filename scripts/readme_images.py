"""Makes the pictures of the README anew: a simulated room and a photograph, with what household-lit finds.

Run in a shell after `source env.sh`:
  python scripts/readme_images.py
The photograph is the coffee cup that comes with scikit-image (Rachel Michetti, CC0).
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

import perception_contrast as pc
from perception_contrast.images.files import save_image
from perception_contrast_sim.rooms.scenes import SceneSampler, SceneSettings

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
SEED = 910_027  # of a room that no head was trained on
ROOM = ("table", "chair", "potted plant", "suitcase", "book", "mug", "bowl", "lamp", "bottle", "sofa")
PHOTOGRAPH = ("cup", "spoon", "book", "bottle", "chair")
Rgb = NDArray[np.uint8]


def main() -> int:
    detector = pc.load("household-lit")
    room = next(iter(SceneSampler(SEED, SceneSettings(views=1)))).rgb
    found = detector(room, list(ROOM))
    height, width = room.shape[:2]
    features = cv2.resize(found.plot_features(), (width, height), interpolation=cv2.INTER_CUBIC)
    save_image(IMAGES / "demo.png", np.hstack([found.plot(), features]))
    photograph: Rgb = np.ascontiguousarray(data.coffee())
    save_image(IMAGES / "photograph.png", detector(photograph, list(PHOTOGRAPH)).plot())
    return 0


if __name__ == "__main__":
    sys.exit(main())
