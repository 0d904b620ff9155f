"""Saves what is seen: a snapshot with its detections, or a recording into a bag."""

from __future__ import annotations

import asyncio
import base64
import binascii
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

from nicegui import ui

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.headers import JPEG_MAGIC
from perception_contrast_studio.components.live.live_view import LiveView
from perception_contrast_studio.robot.bag_recorder import (
    BagRecorder,
    RecordedTopics,
    RecordingState,
    free_bytes,
)
from perception_contrast_studio.robot.frame_hub import FrameHub
from perception_contrast_studio.robot.live_camera import LiveCamera
from perception_contrast_studio.robot.live_frame import LiveFrame
from perception_contrast_studio.server.studio_page import Visit

MOST_SNAPSHOT_BYTES = 24 << 20


class CapturePanel:
    """Snapshots and recordings, into the studio's folder of recordings.

    Args:
        visit: The visitor's view.
        hub: What visitors share; one recording runs at a time.
        view: What is seen.
        camera: Gives the camera that is shown.
    """

    def __init__(self, visit: Visit, hub: FrameHub, view: LiveView, camera: Callable[[], LiveCamera]) -> None:
        self._visit, self._hub, self._view, self._camera = visit, hub, view, camera
        with ui.row().classes("items-center q-gutter-sm"):
            ui.button("Snapshot", icon="photo_camera", on_click=visit.changes(self._snapshot)).props(
                "outline no-caps"
            )
            self._button = ui.button(
                "Record", icon="fiber_manual_record", on_click=visit.changes(self._toggle)
            )
            self._button.props("outline no-caps color=negative")
        self._state = (
            ui.label().classes("text-caption studio-wrap").props("role=status data-testid=recording")
        )
        self._saved = ui.row().classes("q-gutter-xs")
        timer = ui.timer(1.0, self._draw)
        visit.on_leave(timer.deactivate)
        self._draw()

    @property
    def _folder(self) -> Path:
        folder = self._visit.studio.folders.recordings
        if folder is None:
            raise PerceptionError("there is no folder for recordings; start the studio with --save-to DIR")
        return folder

    async def _snapshot(self) -> None:
        camera = self._camera()
        try:
            seen = await self._view.snapshot()
            frame = camera.frame_of(int(seen["stamp"] or 0)) or camera.newest
            if frame is None:
                raise PerceptionError("there is no image yet")
            files = await asyncio.to_thread(_save, self._folder, frame, camera.name, _jpeg(seen["jpeg"]))
        except (PerceptionError, OSError, TimeoutError, asyncio.TimeoutError) as error:
            ui.notify(f"No snapshot: {error}", type="warning", multi_line=True)
            return
        finally:
            self._view.dismiss()
        ui.notify(f"Saved in {self._folder}", type="positive")
        self._saved.clear()
        with self._saved:
            for name, path in files.items():
                self._download(name, path)

    def _download(self, name: str, path: Path) -> None:
        button = ui.button(name, icon="download", on_click=lambda: ui.download.file(path))
        button.props("flat dense no-caps")

    async def _toggle(self) -> None:
        hub, wants_end = self._hub, self._hub.records
        self._button.disable()
        try:
            # Of two visitors who press at once, the second finds done what both wanted.
            async with hub.recording:
                if hub.records != wants_end:
                    return
                if hub.recorder is not None and wants_end:
                    state = await asyncio.to_thread(hub.recorder.stop)
                    if not state.problem:
                        ui.notify(f"Recorded: {state.path}", type="positive", multi_line=True)
                else:
                    hub.recorder = await asyncio.to_thread(self._start)
        except (PerceptionError, OSError) as error:
            ui.notify(str(error), type="warning", multi_line=True)
        finally:
            self._button.enable()
            self._draw()

    def _start(self) -> BagRecorder:
        camera = self._camera()
        status = self._hub.status(camera.name)
        topic = status.values.get("input/topic", "") if status else ""
        if not topic:
            raise PerceptionError(
                f"'{self._hub.target}' does not tell where its images come from; is it there?"
            )
        node = camera.client.target
        own = f"{node}/{camera.name}" if camera.name else node
        topics = RecordedTopics(topic, f"{own}/detections", f"{node}/label_info")
        return BagRecorder(
            self._folder / free_name(self._folder, "recording", camera.name),
            topics,
            self._hub.robot.options.ros_arguments,
        )

    def _draw(self) -> None:
        recorder = self._hub.recorder
        state = recorder.state if recorder else None
        running = self._hub.records
        self._button.text = "Stop" if running else "Record"
        self._button.icon = "stop" if running else "fiber_manual_record"
        self._state.text = _in_words(state) if state else ""
        self._state.visible = bool(self._state.text)


def _in_words(state: RecordingState) -> str:
    amount = f"{state.messages} messages, {state.bytes / 1e6:.1f} MB, {state.seconds:.0f} s"
    if state.lost:
        amount += f", {state.lost} lost: the disk is too slow"
    if state.problem:
        return f"{state.problem} ({amount})"
    if state.ended:
        return f"Recorded in {state.path} ({amount})"
    free = free_bytes(state.path.parent) / 1e9
    return f"Recording: {amount}; {free:.0f} GB free"


def free_name(folder: Path, kind: str, camera: str) -> str:
    """A name with the time that no file of a folder has: two visitors may save in one second."""
    plain = "_".join(filter(None, [kind, time.strftime("%Y-%m-%d_%H-%M-%S"), camera]))
    names = (plain if number == 1 else f"{plain}_{number}" for number in itertools.count(1))
    return next(name for name in names if not (folder / name).exists() and not any(folder.glob(f"{name}.*")))


def _jpeg(text: str) -> bytes:
    """The picture that the browser drew.

    Raises:
        PerceptionError: It is none.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PerceptionError("the browser sent no picture") from error
    if not data.startswith(JPEG_MAGIC) or len(data) > MOST_SNAPSHOT_BYTES:
        raise PerceptionError("the browser sent no picture")
    return data


def _save(folder: Path, frame: LiveFrame, camera: str, drawn: bytes) -> dict[str, Path]:
    """Writes the image, the image with its layers, and the detections; gives their paths by what they are."""
    name = free_name(folder, "snapshot", camera)
    description = {
        "camera": camera,
        "stamp_ns": frame.stamp,
        "frame_id": frame.joined.image.frame_id,
        "detections": [
            {"label": one["label"], "score": one["score"], "box": one["box"], "id": one["id"]}
            for one in frame.things()
        ],
    }
    contents = {
        "image": (folder / f"{name}.jpg", frame.joined.image.jpeg(95)),
        "with layers": (folder / f"{name}_layers.jpg", drawn),
        "detections": (folder / f"{name}.json", json.dumps(description, indent=1).encode()),
    }
    for path, data in contents.values():
        atomic_write(path, data)
    return {what: path for what, (path, _) in contents.items()}
