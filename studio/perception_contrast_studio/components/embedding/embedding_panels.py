"""The panels beside the cloud: legend, chosen point, words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from perception_contrast_studio.components.embedding.embedding_session import EmbeddingSession, Near
from perception_contrast_studio.components.embedding.point_colours import time_gradient, time_text
from perception_contrast_studio.components.embedding.point_pictures import about

MOST_LEGEND = 60


class LegendPanel:
    """What the colours mean; a click hides a group.

    Args:
        session: Whose colours they are.
        on_change: Called when a group was hidden or shown.
    """

    def __init__(self, session: EmbeddingSession, on_change: Callable[[], Any]) -> None:
        self._session, self._on_change = session, on_change
        self._box = ui.column().classes("full-width").style("gap: 0")

    def update(self) -> None:
        """Shows the present colours."""
        session = self._session
        self._box.clear()
        if session.points is None:
            return
        with self._box:
            if session.way == "time":
                self._times()
            for entry in session.legend[:MOST_LEGEND]:
                hidden = entry.number in session.hidden
                with ui.element("button").classes("embedding-legend") as button:
                    button.props(f"type=button aria-pressed={'false' if hidden else 'true'}")
                    ui.label(entry.shape).style(f"color: {entry.colour}; width: 1.2em").props(
                        "aria-hidden=true"
                    )
                    ui.label(entry.text).classes("col ellipsis").style("text-align: left")
                    ui.label(f"{entry.count:,}" + (" hidden" if hidden else "")).classes("text-caption")
                button.style("opacity: .5" if hidden else "")
                button.on("click", lambda number=entry.number: self._toggle(number))
            if len(session.legend) > MOST_LEGEND:
                ui.label(f"and {len(session.legend) - MOST_LEGEND} smaller groups").classes("text-caption")
            if session.legend:
                with ui.row().classes("q-gutter-xs q-mt-xs"):
                    ui.button("Show all", on_click=lambda: self._set(set())).props("flat dense no-caps")
                    everything = {entry.number for entry in session.legend}
                    ui.button("Hide all", on_click=lambda: self._set(everything)).props("flat dense no-caps")

    def _times(self) -> None:
        points = self._session.points
        assert points is not None
        known = points.stamps[points.stamps >= 0]
        ui.element("div").style(
            f"height: 12px; width: 100%; border-radius: 6px; background: {time_gradient()}"
        )
        with ui.row().classes("full-width justify-between text-caption"):
            ui.label(time_text(int(known.min())))
            ui.label(time_text(int(known.max())))

    def _toggle(self, number: int) -> None:
        self._set(self._session.hidden ^ {number})

    def _set(self, hidden: set[int]) -> None:
        self._session.hidden = set(hidden)
        self.update()
        self._on_change()


class PointPanel:
    """The chosen point with its picture and its nearest neighbours.

    Args:
        session: Whose points they are.
        on_pick: Called with a neighbour that is chosen.
    """

    def __init__(self, session: EmbeddingSession, on_pick: Callable[[int, bool], Awaitable[None]]) -> None:
        self._session, self._on_pick = session, on_pick
        self._box = ui.column().classes("full-width embedding-panel")
        self.show_nothing()

    def show_nothing(self) -> None:
        """Says what can be done."""
        self._box.clear()
        with self._box:
            ui.label(
                "Click a point to see it and its nearest neighbours. Ctrl + click a second one, or drag from "
                "the chosen point to another, for their cosine."
            ).classes("text-caption")

    def show(self, index: int, near: Near) -> None:
        """Shows a point."""
        points = self._session.points
        assert points is not None
        self._box.clear()
        with self._box:
            with ui.row().classes("items-start no-wrap full-width"):
                self._picture(index, 120)
                with ui.column().classes("q-gutter-none col"):
                    ui.label(points.label_of(index) or points.name_of(index)).classes(
                        "text-subtitle1 studio-wrap"
                    )
                    details = [points.name_of(index), points.bag_of(index)]
                    details.append(time_text(int(points.stamps[index])) if len(points.stamps) else "")
                    for text in filter(None, details):
                        ui.label(text).classes("text-caption studio-wrap")
            ui.label("Nearest neighbours, by cosine").classes("text-subtitle2 q-mt-sm")
            self.show_near(near)

    def show_pair(self, first: int, second: int, cosine: float) -> None:
        """Shows two points and their cosine."""
        self._box.clear()
        with self._box:
            with ui.row().classes("no-wrap full-width q-gutter-sm"):
                for index in (first, second):
                    with ui.column().classes("col items-center q-gutter-none"):
                        self._picture(index, 130)
                        ui.label(self._about(index)).classes("text-caption studio-wrap")
            ui.label(f"cosine {cosine:.3f}").classes("text-h6 self-center").props("role=status")
            ui.label(
                "1: the encoder takes both for the same; 0: nothing in common. Compare it with those of "
                "neighbours: with some encoders any two views of a room come near 0.9."
            ).classes("text-caption")

    def show_near(self, near: Near) -> None:
        """Points with cosines, as buttons."""
        with ui.row().style("gap: 2px"):
            for index, cosine in near:
                with ui.element("button").classes("embedding-near").props("type=button") as button:
                    self._picture(index, 74)
                    points = self._session.points
                    assert points is not None
                    ui.label(f"{cosine:.3f}").classes("text-weight-medium")
                    ui.label(points.label_of(index) or points.name_of(index)).classes("ellipsis text-caption")
                    ui.tooltip(self._about(index))
                button.on("click", lambda number=index: self._on_pick(number, False))

    def _about(self, index: int) -> str:
        points = self._session.points
        assert points is not None
        return about(points, index)

    def _picture(self, index: int, side: int) -> None:
        session = self._session
        if session.points is None or session.points.pictures is None or session.source is None:
            return
        path = session.pictures_path()
        image = ui.element("img").style(
            f"width: {side}px; height: {side}px; object-fit: cover; border-radius: 6px"
        )
        image.props["src"] = f"{path}/picture/{index}"
        image.props["alt"] = f"Image of {self._about(index)}"
        image.props["loading"] = "lazy"


class WordPanel:
    """Typed words among the points.

    Args:
        session: Whose words they are.
        add: Called with a text that was typed.
        on_change: Called when a word was taken away.
        near: Shows the points near a word.
    """

    def __init__(
        self,
        session: EmbeddingSession,
        add: Callable[[str], Awaitable[None]],
        on_change: Callable[[], Any],
        near: PointPanel,
    ) -> None:
        self._session, self._on_change, self._near = session, on_change, near
        self._input = (
            ui.input("Words, such as: a red mug; a milk carton")
            .classes("full-width")
            .props("dense clearable")
        )

        async def typed() -> None:
            text = str(self._input.value or "").strip()
            self._input.set_value("")
            if text:
                await add(text)

        self._input.on("keydown.enter", typed)
        with self._input.add_slot("append"):
            ui.button(icon="add", on_click=typed).props('flat dense round aria-label="Add words"')
        self._refusal = ui.label("").classes("text-caption studio-wrap").props("role=note")
        self._box = ui.column().classes("full-width embedding-panel")

    def update(self) -> None:
        """Shows the present words, or why there can be none."""
        session = self._session
        self._refusal.set_text(session.words_refusal or _where(session))
        self._box.clear()
        with self._box:
            for word in session.words:
                with ui.row().classes("items-center full-width no-wrap"):
                    ui.label(word.text).classes("col text-weight-medium studio-wrap")
                    ui.button(icon="close", on_click=lambda text=word.text: self._remove(text)).props(
                        f'flat dense round size=sm aria-label="Remove {_plain(word.text)}"'
                    )
                self._near.show_near(word.near[:4])

    def _remove(self, text: str) -> None:
        self._session.remove_word(text)
        self.update()
        self._on_change()


def _where(session: EmbeddingSession) -> str:
    if session.projection.method == "PCA":
        return "A word lands where its vector is projected. Below it: the images nearest in the full space."
    return "UMAP has no formula for new vectors: a word lands among the images nearest in the full space."


def _plain(text: str) -> str:
    return "".join(one for one in text if one.isalnum() or one in " -_")
