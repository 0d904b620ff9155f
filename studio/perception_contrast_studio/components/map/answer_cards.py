"""The answer of a map, in words and as cards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nicegui import ui

from perception_contrast_studio.components.shared.thumbnails import Thumbnails
from perception_contrast_studio.maps.map_types import MapAnswer, MapThing, Question
from perception_contrast_studio.maps.spoken_times import ago, local
from perception_contrast_studio.server.studio_page import Visit

_STATUS = {
    "confirmed": ("there", "check_circle", "positive"),
    "unconfirmed": ("perhaps, not sure", "help", "warning"),
    "gone": ("not there any more", "remove_circle_outline", "grey"),
}
_HEADS = {
    "found": ("Found", "check_circle", "positive"),
    "unconfirmed": ("Perhaps", "help", "warning"),
    "direction": ("Only seen from afar", "near_me", "warning"),
    "not_seen": ("Not seen", "search_off", "negative"),
}


@dataclass(frozen=True)
class CardActions:
    """What the buttons of a card do; each is called with the card's thing.

    Attributes:
        show: Chooses it and looks at it.
        timeline: When it was seen.
        approach: Where to stand to face it.
        alike: Things like it.
        forget: Takes it out of the map.
    """

    show: Callable[[MapThing], Any]
    timeline: Callable[[MapThing], Any]
    approach: Callable[[MapThing], Any]
    alike: Callable[[MapThing], Any]
    forget: Callable[[MapThing], Any]


class AnswerCards:
    """Shows one answer, or the thing that was clicked.

    Args:
        visit: Of the page.
        actions: Of the buttons.
    """

    def __init__(self, visit: Visit, actions: CardActions) -> None:
        self._visit, self._actions = visit, actions
        self._images = Thumbnails(visit)
        self._column = ui.column().classes("full-width studio-gap").props('aria-live="polite"')

    def clear(self, hint: str = "") -> None:
        """Shows nothing but a hint."""
        self._column.clear()
        self._images.clear()
        if hint:
            with self._column:
                ui.label(hint).classes("text-caption studio-wrap")

    def show(self, question: Question, answer: MapAnswer) -> None:
        """Shows an answer."""
        self.clear()
        word, icon, colour = _HEADS[answer.kind]
        with self._column:
            with ui.row().classes("items-center no-wrap").props("role=status"):
                ui.icon(icon, color=colour, size="sm").props("aria-hidden=true")
                ui.label(f"{word}: {question.words}").classes("text-subtitle1 text-weight-medium studio-wrap")
            ui.label(answer.message).classes("text-body2 studio-wrap")
            if answer.kind == "direction":
                ui.label("The orange arrows start where the camera was and point to it.").classes(
                    "text-caption"
                )
            for thing in answer.things:
                self._card(thing, answer.now)

    def show_thing(self, thing: MapThing, now: int) -> None:
        """Shows the thing that was clicked."""
        self.clear()
        with self._column:
            ui.label("Chosen in the map").classes("text-subtitle1 text-weight-medium")
            self._card(thing, now)

    def _card(self, thing: MapThing, now: int) -> None:
        name = thing_name(thing)
        with ui.card().classes("full-width q-pa-sm map-card").props("flat bordered"):
            with ui.row().classes("full-width no-wrap items-start"):
                self._image(thing, name)
                with ui.column().classes("col map-gap-none"):
                    ui.label(name).classes("text-subtitle2 studio-wrap")
                    self._status(thing)
                    x, y, z = thing.center
                    ui.label(f"x {x:.2f}, y {y:.2f}, z {z:.2f} m").classes("text-caption")
                    if thing.last_seen:
                        seen = ui.label(f"last seen {ago(thing.last_seen, now)}").classes("text-caption")
                        seen.tooltip(f"{local(thing.last_seen)}; in {thing.sightings} images")
                if thing.id:
                    forget = self._visit.changes(lambda: self._actions.forget(thing))
                    self._button("", "delete", f"Forget {name}", forget)
            self._buttons(thing, name)

    def _image(self, thing: MapThing, name: str) -> None:
        if url := self._images.url(thing.thumbnail):
            image = ui.element("img").props(f'src="{url}"')
            image.props["alt"] = f"Image of {name}"
            image.style("width:76px; height:76px; object-fit:contain; border-radius:6px; background:#8883")
        else:
            ui.icon("image_not_supported", size="32px").classes("q-pa-md").props("aria-hidden=true")

    def _status(self, thing: MapThing) -> None:
        text, icon, colour = (
            _STATUS[thing.status] if thing.id else ("a place that may be it", "help", "warning")
        )
        with ui.row().classes("items-center no-wrap").style("gap:4px"):
            ui.icon(icon, color=colour, size="16px").props("aria-hidden=true")
            ui.label(f"{thing.score:.0%}, {text}").classes("text-caption")

    def _buttons(self, thing: MapThing, name: str) -> None:
        do = self._actions
        with ui.row().classes("full-width").style("gap:2px"):
            self._button("Show", "visibility", f"Show {name} in the map", lambda: do.show(thing))
            if not thing.id:
                return
            self._button("When", "timeline", f"When {name} was seen", lambda: do.timeline(thing))
            self._button("Approach", "near_me", f"Where to stand to face {name}", lambda: do.approach(thing))
            self._button("Alike", "image_search", f"More things like {name}", lambda: do.alike(thing))

    @staticmethod
    def _button(text: str, icon: str, hint: str, action: Callable[[], Any]) -> None:
        button = ui.button(text, icon=icon, on_click=action).props("flat dense no-caps size=12px")
        button.classes("map-card-button").props["aria-label"] = hint
        button.tooltip(hint)


def thing_name(thing: MapThing) -> str:
    """As people call it."""
    return f"{thing.label} {thing.id}" if thing.id else "a place"
