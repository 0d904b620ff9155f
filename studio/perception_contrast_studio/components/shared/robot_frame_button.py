"""A button that takes the newest image of the robot's camera."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nicegui import ui

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.robot.robot_link import RobotLink

IMAGE_SECONDS = 5.0
QUALITY = 95


class RobotFrameButton:
    """Where the node has several cameras, a menu asks which one.

    Args:
        robot: The robot's nodes.
        text: On the button.
        icon: Beside it.
        on_frame: Takes the image as JPEG, and where it comes from, in words.
        on_problem: Takes why there is none.
    """

    def __init__(
        self,
        robot: RobotLink,
        text: str,
        icon: str,
        on_frame: Callable[[bytes, str], Any],
        on_problem: Callable[[str], Any],
    ) -> None:
        self._robot, self._on_frame, self._on_problem = robot, on_frame, on_problem
        with ui.button(text, icon=icon, on_click=self._choose) as self.button:
            self._menu = ui.menu().props("no-parent-event")
        self.button.tooltip("The newest image of the robot's camera")

    async def take(self, camera: str = "") -> None:
        """Takes the newest image. camera: its name; the first one's for an empty name."""
        try:
            client = await self._robot.camera(camera)
            image = await client.start.latest_image(IMAGE_SECONDS)
            data = await asyncio.to_thread(image.jpeg, QUALITY)
        except PerceptionError as error:
            self._on_problem(str(error))
            return
        result = self._on_frame(data, f"the robot's camera {camera}".rstrip())
        if result is not None:
            await result

    async def _choose(self) -> None:
        try:
            names = await self._robot.cameras()
        except PerceptionError as error:
            self._on_problem(str(error))
            return
        if len(names) < 2:
            await self.take()
            return
        self._menu.clear()
        with self._menu:
            for name in names:
                ui.menu_item(name, on_click=lambda one=name: self.take(one))
        self._menu.open()
