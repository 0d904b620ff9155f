"""What is looked for: words, a label, or an image; and which answers count."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import events, ui

from perception_contrast.memory.relative_time import moment
from perception_contrast_studio.maps.map_types import FindOptions, Point, Question

MAX_IMAGE = 8 * 1024 * 1024
_MOST_LABELS = 40


class FindPanel:
    """Asks questions.

    Args:
        ask: Called with a question.
        trouble: Called with what is wrong with an image, in words.
    """

    def __init__(self, ask: Callable[[Question], Awaitable[Any]], trouble: Callable[[str], Any]) -> None:
        self._ask, self._trouble = ask, trouble
        self._labels: tuple[str, ...] = ()
        self._place: Point | None = None
        with ui.row().classes("full-width items-center no-wrap"):
            self._text = ui.input("What are you looking for?", placeholder="red mug").classes("col")
            self._text.props("outlined dense clearable maxlength=200").on("keydown.enter", self._by_words)
            ui.button("Find", icon="search", on_click=self._by_words).props("no-caps unelevated")
        self._chips = ui.row().classes("full-width map-gap-xs items-center")
        with ui.expansion("Find by an image", icon="image_search").classes("full-width").props("dense"):
            ui.label(
                "Choose a photo of the thing. Or click a thing in the map and use 'More like this'."
            ).classes("text-caption")
            self._upload = ui.upload(
                label="A photo, 8 MB at most",
                auto_upload=True,
                max_files=1,
                max_file_size=MAX_IMAGE,
                on_upload=self._by_image,
                on_rejected=lambda: trouble("this is no image of 8 MB at most; choose a JPEG or a PNG"),
            )
            self._upload.props('accept="image/*" flat bordered').classes("full-width")
        with ui.expansion("Filters", icon="tune").classes("full-width").props("dense") as self._filters:
            self._build_filters()

    def _build_filters(self) -> None:
        self._near = ui.checkbox("Only near the chosen point", value=False)
        self._near.set_enabled(False)
        self._hint = ui.label("Click a point in the map first (shift-click inside a box).")
        self._hint.classes("text-caption")
        self._radius = ui.number("Within how many metres", value=1.0, min=0.1, max=50.0, step=0.1)
        self._radius.props("dense outlined").classes("full-width")
        self._since = ui.input("Seen since", placeholder="10 minutes ago, yesterday, 2026-05-04 10:30")
        self._since.props("dense outlined clearable").classes("full-width q-mt-sm")
        least = ui.label(_least(0.0)).classes("text-caption q-mt-sm")
        self._score = ui.slider(
            min=0.0,
            max=1.0,
            step=0.05,
            value=0.0,
            on_change=lambda event: least.set_text(_least(event.value)),
        ).props('aria-label="Least probability"')
        self._gone = ui.checkbox("Also what is not there any more")

    def options(self, now: int) -> FindOptions:
        """Which answers count.

        Args:
            now: Nanoseconds, of the map's clock.

        Raises:
            RecallError: The time is none.
        """
        since = str(self._since.value or "").strip()
        return FindOptions(
            near=self._place if self._near.value else None,
            radius=float(self._radius.value or 1.0),
            since=moment(since, now) if since else 0,
            min_score=float(self._score.value),
            include_gone=bool(self._gone.value),
        )

    def show_place(self, place: Point | None) -> None:
        """The point that answers may have to be near to."""
        self._place = place
        self._near.set_enabled(place is not None)
        if place is None:
            self._near.value = False
        else:
            self._hint.set_text(f"Chosen point: x {place[0]:.2f}, y {place[1]:.2f}, z {place[2]:.2f} m")

    def show_labels(self, labels: tuple[str, ...]) -> None:
        """Names that things of the map have, as buttons."""
        if labels == self._labels:
            return
        self._labels = labels
        self._chips.clear()
        with self._chips:
            if labels:
                ui.label("In this map:").classes("text-caption")
            for label in labels[:_MOST_LABELS]:
                chip = ui.button(label, on_click=lambda _, one=label: self._by_label(one))
                chip.props('rounded outline dense no-caps size=sm padding="2px 10px"')

    async def _by_words(self) -> None:
        text = str(self._text.value or "").strip()
        if not text:
            ui.notify("Write what you are looking for, such as 'red mug'.", type="info")
            return
        await self._ask(Question(text=text))

    async def _by_label(self, label: str) -> None:
        self._text.value = label
        await self._ask(Question(label=label))

    async def _by_image(self, event: events.UploadEventArguments) -> None:
        if event.file.size() > MAX_IMAGE:
            self._trouble("this image has more than 8 MB; choose a smaller one")
            return
        data = await event.file.read()
        self._upload.reset()
        await self._ask(Question(image=data))


def _least(score: float) -> str:
    return f"Least probability: {score:.2f}" if score else "Least probability: the map's own"
