"""Writes the message definitions that the package carries, from interfaces/: run it when one changes there.

python scripts/message_definitions.py
"""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("interfaces/fallback/vision_msgs", "interfaces/perception_contrast_msgs")
TARGET = ROOT / "perception_contrast/recordings/data/message_definitions.json"


def definitions() -> dict[str, str]:
    """Type, such as "vision_msgs/msg/LabelInfo", to its definition, sorted by type."""
    files = (path for folder in FOLDERS for path in (ROOT / folder).glob("msg/*.msg"))
    found = {f"{path.parents[1].name}/msg/{path.stem}": path.read_text("utf-8") for path in files}
    return dict(sorted(found.items()))


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(definitions(), indent=1) + "\n", "utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {len(definitions())} definitions")
