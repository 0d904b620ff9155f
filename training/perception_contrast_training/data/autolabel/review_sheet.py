"""A page of what a person should look at first: what checks disagree on, and what is near the threshold."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from perception_contrast.core.arrays import RgbImage
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.file_writing import writing
from perception_contrast_training.data.autolabel.pseudo_labels import Judged, Rules

REVIEW_FILE = "review.html"
SIDE = 220  # pixels of a picture
_MARGIN = 0.35  # around a box, of its longer side
_STYLE = """
body { font: 14px sans-serif; margin: 1.5em; background: #fafafa }
main { display: flex; flex-wrap: wrap; gap: 12px }
figure { margin: 0; padding: 6px; background: #fff; border: 2px solid #bbb; width: 224px }
figure.kept { border-color: #2a7 } figure.left { border-color: #c60 }
img { width: 220px; height: 220px; object-fit: contain; background: #eee }
figcaption { overflow-wrap: anywhere } small { color: #555 }
"""


def interest(one: Judged, rules: Rules) -> float:
    """How much is learned by looking at it: 0 to 2.

    Most where a check contradicts a confident report, then where the probability is near the threshold.
    """
    near = 1.0 - abs(one.thing.score - rules.threshold) / max(rules.threshold, 1.0 - rules.threshold)
    disputed = max((one.thing.score - agreed for agreed in one.thing.agreed.values()), default=0.0)
    return float(near + max(0.0, disputed))


def write_review(
    path: Path,
    found: Sequence[Judged],
    rules: Rules,
    read: Callable[[Judged], RgbImage],
    most: int,
    title: str,
) -> int:
    """Writes the page, one file without anything from elsewhere. Returns how many things are on it.

    Args:
        path: The file.
        found: Everything that was found.
        rules: By which it was judged.
        read: Gives the image of a thing; one that raises PerceptionError is left out.
        most: Things on the page.
        title: Its heading.

    Raises:
        StorageError: It cannot be written.
    """
    ordered = sorted(found, key=lambda one: -interest(one, rules))[:most]
    figures = []
    for one in ordered:
        try:
            figures.append(_figure(one, _cut(one, read(one))))
        except PerceptionError:
            continue
    text = html.escape(title)
    head = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{text}</title><style>{_STYLE}</style>'
    )
    about = (
        f"<h1>{text}</h1><p>{len(figures)} of {len(found)} things, those first that are most worth a look. "
        "Green: became a label. Orange: left out, with the reason.</p>"
    )
    with writing(path) as part:
        part.write_text(f"{head}{about}<main>{''.join(figures)}</main></html>", "utf-8")
    return len(figures)


def _figure(one: Judged, picture: bytes) -> str:
    agreed = ", ".join(f"{name} {value:.2f}" for name, value in one.thing.agreed.items())
    lines = [f"<b>{html.escape(one.thing.label)}</b> {one.thing.score:.2f}"]
    lines += [html.escape(one.doubt)] if one.doubt else []
    lines += [f"<small>{html.escape(agreed)}</small>"] if agreed else []
    lines.append(f"<small>{html.escape(one.frame.file)}</small>")
    data = base64.b64encode(picture).decode()
    return (
        f'<figure class="{"left" if one.doubt else "kept"}"><img alt="" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{'<br>'.join(lines)}</figcaption></figure>"
    )


def _cut(one: Judged, image: RgbImage) -> bytes:
    """JPEG of a thing with what is around it and its box."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = one.thing.box
    rim = round(_MARGIN * max(x1 - x0, y1 - y0)) + 8
    left, top = max(0, x0 - rim), max(0, y0 - rim)
    part = np.ascontiguousarray(image[top : min(height, y1 + rim), left : min(width, x1 + rim)])
    scale = SIDE / max(part.shape[:2])
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    shown = cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    first, last = (
        (round((x0 - left) * scale), round((y0 - top) * scale)),
        (
            round((x1 - left) * scale) - 1,
            round((y1 - top) * scale) - 1,
        ),
    )
    cv2.rectangle(shown, first, last, (255, 140, 0) if one.doubt else (40, 180, 110), 2)
    _, packed = cv2.imencode(".jpg", shown[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    return packed.tobytes()
