"""The WebSocket of one view of a camera: frames out, one at a time; what it shows and points at in."""

from __future__ import annotations

import asyncio
import json
import math
import struct
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.robot.cell_features import similarity_to_box, similarity_to_point
from perception_contrast_studio.robot.frame_hub import FrameHub
from perception_contrast_studio.robot.live_camera import LAYERS, LiveCamera
from perception_contrast_studio.robot.live_frame import PICTURES, LiveFrame
from perception_contrast_studio.robot.rates import Durations, Rate

# Stands in the address for a camera without a name; names have letters, digits and _ alone.
UNNAMED = "-"
STATUS_SECONDS = 1.0
# A browser that does not answer for so long has gone.
ACK_SECONDS = 30.0
CLUSTERS = (2, 24)
MOST_MESSAGE = 4096
_TRY_AGAIN_LATER = 1013
_POLICY_VIOLATION = 1008


@dataclass
class _View:
    """What the browser asked for, and how fast it is."""

    layers: frozenset[str] = frozenset()
    clusters: int = 6
    pointed: dict[str, Any] | None = None
    pointing: asyncio.Event = field(default_factory=asyncio.Event)
    acked: asyncio.Event = field(default_factory=asyncio.Event)
    busy_ms: float = 0.0
    shown: Rate = field(default_factory=Rate)
    pixels_ms: Durations = field(default_factory=Durations)
    behind_ms: Durations = field(default_factory=Durations)


class LiveStream:
    """Serves one view.

    The next frame goes out when the browser has drawn the former one, so that a slow browser sees fewer
    frames and never late ones.

    Args:
        socket: Not accepted yet.
        hub: What visitors share.
    """

    def __init__(self, socket: WebSocket, hub: FrameHub) -> None:
        self._socket, self._hub = socket, hub
        self._view = _View()
        self._sending = asyncio.Lock()

    async def serve(self, name: str) -> None:
        """Serves until the browser goes.

        Args:
            name: Of the camera, UNNAMED for one without a name.
        """
        await self._socket.accept()
        try:
            await self._hub.enter(self)
            camera = await self._hub.camera("" if name == UNNAMED else name)
        except PerceptionError as error:
            await self._text({"note": str(error)})
            self._hub.leave(self)
            await self._socket.close(_TRY_AGAIN_LATER)
            return
        camera.show(self, self._view.layers)
        works = [
            self._read(camera),
            self._send_frames(camera),
            self._send_status(camera),
            self._point(camera),
        ]
        tasks = [asyncio.create_task(one) for one in works]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            camera.leave(self)
            self._hub.leave(self)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # In.

    async def _read(self, camera: LiveCamera) -> None:
        while True:
            try:
                text = await self._socket.receive_text()
            except (WebSocketDisconnect, RuntimeError, KeyError):
                return
            try:
                if len(text) > MOST_MESSAGE:
                    raise ValueError
                message = json.loads(text)
                self._take(camera, message)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                await self._socket.close(_POLICY_VIOLATION)
                return

    def _take(self, camera: LiveCamera, message: dict[str, Any]) -> None:
        view = self._view
        if "layers" in message:
            view.layers = frozenset(str(one) for one in message["layers"]) & LAYERS.keys()
            view.clusters = min(max(int(message.get("clusters", view.clusters)), CLUSTERS[0]), CLUSTERS[1])
            camera.show(self, view.layers)
        if "ack" in message:
            view.busy_ms = min(max(float(message.get("busy", 0.0)), 0.0), 60_000.0)
            view.acked.set()
        if "hold" in message:
            camera.hold(self, int(message["hold"] or 0))
        if "point" in message or "box" in message:
            numbers = [float(one) for one in message.get("point") or message["box"]]
            if len(numbers) not in (2, 4) or not all(map(math.isfinite, numbers)):
                raise ValueError
            view.pointed = {"numbers": numbers, "purpose": str(message.get("purpose", ""))[:16]}
            view.pointing.set()

    # Out.

    async def _send_frames(self, camera: LiveCamera) -> None:
        view, number = self._view, 0
        while True:
            frame = await camera.after(number)
            number = frame.number
            parts = await self._parts(frame)
            if not parts[0][1]:
                continue
            view.acked.clear()
            sent = time.time()
            await self._binary(self._header(frame, camera), parts)
            try:
                await asyncio.wait_for(view.acked.wait(), ACK_SECONDS)
            except asyncio.TimeoutError:
                return
            self._measure(frame, camera, sent)

    async def _parts(self, frame: LiveFrame) -> list[tuple[str, bytes]]:
        names = ["image", *(one for one in PICTURES if one in self._view.layers)]
        made = await asyncio.gather(*(frame.picture(one, self._view.clusters) for one in names))
        parts = list(zip(names, made, strict=True))
        return [parts[0], *(one for one in parts[1:] if one[1])]

    def _header(self, frame: LiveFrame, camera: LiveCamera) -> dict[str, Any]:
        height, width = frame.size
        header: dict[str, Any] = {
            "kind": "frame",
            "number": frame.number,
            "stamp": str(frame.stamp),
            "size": [width, height],
            "things": frame.things(),
            "raw": not frame.joined.results and bool(camera.wanted),
        }
        if frame.features is not None:
            header["grid"] = _grid(frame.features.grid)
        return header

    def _measure(self, frame: LiveFrame, camera: LiveCamera, sent: float) -> None:
        now = time.time()
        self._view.shown.add(time.monotonic())
        # Half of the way there and back, and the drawing: a browser's clock need not be right for that.
        busy = self._view.busy_ms
        travel = max((now - sent) * 1e3 - busy, 0.0) / 2
        pixels = sent * 1e3 - frame.stamp / 1e6 + travel + busy
        if 0.0 <= pixels < 60_000.0:
            self._view.pixels_ms.add(pixels)
            node = camera.node_latency.get(frame.stamp)
            if node is not None:
                self._view.behind_ms.add(pixels - node)

    async def _send_status(self, camera: LiveCamera) -> None:
        view = self._view
        while True:
            now = time.monotonic()
            await self._text(
                {
                    "note": self._hub.note(camera),
                    "stats": {
                        "camera_hz": round(camera.images.hertz(now), 1),
                        "results_hz": round(camera.results.hertz(now), 1),
                        "shown_hz": round(view.shown.hertz(now), 1),
                        "node_ms": camera.node_ms.median(),
                        "pixels_ms": view.pixels_ms.median(),
                        "behind_ms": view.behind_ms.median(),
                        "viewers": camera.viewers,
                    },
                }
            )
            await asyncio.sleep(STATUS_SECONDS)

    async def _point(self, camera: LiveCamera) -> None:
        """Tells which cells are like what the pointer shows; only the newest position counts."""
        view = self._view
        while True:
            await view.pointing.wait()
            view.pointing.clear()
            pointed, held = view.pointed, camera.held.get(self)
            features = camera.newest_features if held is None else held.features
            if pointed is None:
                continue
            if features is None:
                await self._binary({"kind": "cells", "purpose": pointed["purpose"], "absent": True}, [])
                continue
            header, data = await asyncio.to_thread(_similarity, features, pointed["numbers"])
            header |= {"kind": "cells", "purpose": pointed["purpose"]}
            await self._binary(header, [("cells", data)])

    async def _text(self, message: dict[str, Any]) -> None:
        await self._sent(self._socket.send_text(json.dumps(message)))

    async def _binary(self, header: dict[str, Any], parts: list[tuple[str, bytes]]) -> None:
        header["parts"] = [[name, len(data)] for name, data in parts]
        encoded = json.dumps(header).encode()
        data = b"".join([struct.pack("<I", len(encoded)), encoded, *(one for _, one in parts)])
        await self._sent(self._socket.send_bytes(data))

    async def _sent(self, sending: Awaitable[None]) -> None:
        async with self._sending:
            await sending


def _grid(grid: Any) -> dict[str, Any]:
    rows, columns, _ = grid.shape
    place = grid.grid_to_image
    return {"rows": rows, "columns": columns, "map": [place.sx, place.sy, place.ox, place.oy]}


def _similarity(features: Any, numbers: list[float]) -> tuple[dict[str, Any], bytes]:
    grid = features.grid
    if len(numbers) == 2:
        found = similarity_to_point(grid, numbers[0], numbers[1])
    else:
        x0, y0, x1, y1 = numbers
        found = similarity_to_box(grid, (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
    data, low, high = found.bytes()
    return {
        "stamp": str(features.stamp),
        "grid": _grid(grid),
        "cell": list(found.cell),
        "low": round(low, 3),
        "high": round(high, 3),
        "threshold": round(found.threshold, 3),
        "box": list(found.box),
    }, data
