"""One shown frame: its description and its pictures, each made once for all who look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from perception_contrast.client.result_types import Detections, Features
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.vocabulary import UNLABELLED
from perception_contrast_studio.robot import layer_pictures
from perception_contrast_studio.robot.cell_features import FeatureClusters
from perception_contrast_studio.robot.frame_join import JoinedFrame
from perception_contrast_studio.robot.label_colours import LabelColours, css, palette_colour

# Picture layers by the output that they are made of.
PICTURES = {"masks": "masks", "instances": "instances", "pca": "pca", "clusters": "features"}


@dataclass
class FrameContext:
    """What pictures are made with.

    Attributes:
        executor: Threads that encode.
        colours: Of labels.
        labels: Label of each mask id.
        clusters: Groups the features' cells, by the number of groups.
    """

    executor: Executor
    colours: LabelColours
    labels: Mapping[int, str] = field(default_factory=dict)
    clusters: dict[int, FeatureClusters] = field(default_factory=dict)


class LiveFrame:
    """A frame as viewers get it.

    Args:
        number: Counts shown frames of the camera.
        joined: The image and its results.
        context: What pictures are made with.
    """

    def __init__(self, number: int, joined: JoinedFrame, context: FrameContext) -> None:
        self.number, self.joined = number, joined
        self._context = context
        self._pictures: dict[tuple[str, int], asyncio.Future[bytes]] = {}
        self.size: tuple[int, int] = (0, 0)

    @property
    def stamp(self) -> int:
        """Nanoseconds."""
        return self.joined.stamp

    @property
    def features(self) -> Features | None:
        """The features of this frame, where somebody asked for them."""
        found: Features | None = self.joined.results.get("features")
        return found

    def things(self) -> list[dict[str, Any]]:
        """The detections for JavaScript; boxes in pixels of the camera's image."""
        found: Detections | None = self.joined.results.get("detections")
        return [
            {
                "label": one.label,
                "score": round(one.score, 3),
                "box": [round(value, 1) for value in one.box],
                "id": one.track_id,
                "colour": css(self._context.colours.of(one.label)),
            }
            for one in (found.things if found else ())
        ]

    async def picture(self, layer: str, clusters: int = 0) -> bytes:
        """The picture of a layer, b"" where this frame has none; made once.

        Args:
            layer: "image" or one of PICTURES.
            clusters: Number of groups, for "clusters".
        """
        if layer != "image" and PICTURES[layer] not in self.joined.results:
            return b""
        key = (layer, clusters if layer == "clusters" else 0)
        if key not in self._pictures:
            loop = asyncio.get_running_loop()
            self._pictures[key] = loop.run_in_executor(self._context.executor, self._make, *key)
        # A viewer that leaves must not cancel what others wait for.
        return await asyncio.shield(self._pictures[key])

    def _make(self, layer: str, clusters: int) -> bytes:
        makers: dict[str, Callable[[], bytes]] = {
            "image": self._image,
            "masks": self._masks,
            "instances": self._instances,
            "pca": lambda: layer_pictures.encoded_jpeg(self.joined.results["pca"].pixels),
            "clusters": lambda: self._clusters(clusters),
        }
        try:
            return makers[layer]()
        except PerceptionError:
            # Of one broken message; the node's diagnostics count them.
            return b""

    def _image(self) -> bytes:
        data, self.size = layer_pictures.browser_jpeg(self.joined.image)
        return data

    def _masks(self) -> bytes:
        labels, colours = self._context.labels, self._context.colours
        masks = self.joined.results["masks"]
        return layer_pictures.ids_png(
            masks.ids, lambda number: colours.of(labels.get(number, str(number))), UNLABELLED
        )

    def _instances(self) -> bytes:
        return layer_pictures.ids_png(self.joined.results["instances"].ids, palette_colour, UNLABELLED)

    def _clusters(self, count: int) -> bytes:
        groups = self._context.clusters.setdefault(count, FeatureClusters(count))
        cells = groups.assign(self.joined.results["features"].grid)
        return layer_pictures.palette_png(cells, [palette_colour(one) for one in range(count)])
