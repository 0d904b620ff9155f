"""Where things are, in 3D and from above, and when they were last seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nicegui import ui

from perception_contrast.core.errors import PerceptionError
from perception_contrast.memory.relative_time import moment
from perception_contrast_studio.components.map.answer_cards import AnswerCards, CardActions, thing_name
from perception_contrast_studio.components.map.find_panel import FindPanel
from perception_contrast_studio.components.map.map_views import MapViews
from perception_contrast_studio.components.map.saved_maps_panel import SavedMapsPanel
from perception_contrast_studio.components.map.sighting_timeline import SightingTimeline
from perception_contrast_studio.components.shared.confirm_dialog import confirmed
from perception_contrast_studio.components.shared.progress_line import ProgressLine
from perception_contrast_studio.components.shared.told_errors import tells_errors
from perception_contrast_studio.maps.map_source import MapSource
from perception_contrast_studio.maps.map_types import (
    MapAnswer,
    MapThing,
    Point,
    Question,
    RecallOptions,
)
from perception_contrast_studio.maps.source_choice import SourceChoice, key_of
from perception_contrast_studio.server.studio_page import StudioPage, Visit

_REFRESH_SECONDS = 1.0
_HINT = "Search above, or click a box in the map."
_WHEN_HINT = "Choose a thing and press 'When', or give a time and press 'Show all'."
_MOST_OF_ALL = 500
_EXPLANATION = """
The robot keeps a map of what it saw: a **surface** of coloured points, and **things**, which it recognised in
several images and put a box around. You can ask where something is in your own words; it need not be a word
that the robot was told before.

- Write *red mug* and press Enter. Pink boxes are answers. "Not seen" means that nothing comes near.
- **Heat** colours the points by how near they are to your words: yellow is near, dark violet is far.
- Orange arrows mean that something like it was seen from afar, where depth does not reach.
- Click a box to choose a thing; then ask *When* it was seen, or where to stand to *Approach* it.
- Drag to turn, scroll to zoom, or use the keys: arrows, `+`, `-`, `T`op, `F`ront, `S`ide, `A`ll.
"""


class MapPage:
    """One visitor's view.

    Args:
        visit: Of the page.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._choice = SourceChoice.of(visit.studio)
        self._key = ""
        self._source: MapSource | None = None
        self._place: Point | None = None
        self._question: Question | None = None

    async def build(self) -> None:
        """Builds the page and begins with the map that the address, the command line or the robot gives."""
        names = await self._choice.names()
        with ui.row().classes("full-width items-center"):
            self._select = ui.select(names, label="Map", on_change=lambda event: self.open(event.value))
            self._select.props("outlined dense options-dense").style("min-width: 220px")
            self._problem = ui.label().classes("text-caption studio-wrap col").props("role=status")
        with ui.expansion("What is this?", icon="help_outline").props("dense").classes("full-width"):
            ui.markdown(_EXPLANATION)
        self._progress = ProgressLine()
        with ui.element("div").classes("row full-width map-columns map-page"):
            with ui.column().classes("col-12 col-md-8 studio-gap"):
                self._views = MapViews(self._visit, self._on_thing, self._on_place, self._watch)
                with ui.card().classes("full-width q-pa-sm").props("flat bordered"):
                    self._build_timeline()
            with ui.column().classes("col-12 col-md-4 studio-gap map-side"):
                self._build_side()
        ui.add_css(_CSS)
        timer = ui.timer(_REFRESH_SECONDS, self._refresh)
        self._visit.on_leave(timer.deactivate)
        self._visit.on_leave(self._leave)
        wanted = str(ui.context.client.request.query_params.get("map", ""))
        await self._maps.refresh()
        if key := self._choice.first(key_of(wanted) if wanted else "", names):
            self._select.value = key
        else:
            self._problem.set_text(
                "There is no map to show. Start the studio with a robot that runs map_node, or make a map: "
                '`perception-contrast map RECORDING --query "mug, chair" --save kitchen`.'
            )

    def _build_side(self) -> None:
        with ui.card().classes("full-width q-pa-sm map-find").props("flat bordered"):
            self._find = FindPanel(self.ask, lambda text: ui.notify(text, type="warning"))
            self._answer = AnswerCards(
                self._visit,
                CardActions(
                    show=lambda thing: self._views.select(thing, look=True),
                    timeline=self._show_times,
                    approach=self._show_approach,
                    alike=lambda thing: self.ask(Question(like=thing)),
                    forget=self._forget,
                ),
            )
            self._answer.clear(_HINT)
            self._heat = ui.button("Colour the map by these words", icon="gradient")
            self._heat.props("flat dense no-caps").set_visibility(False)
            self._heat.on_click(self._on_heat)
        with ui.card().classes("full-width q-pa-sm").props("flat bordered"):
            self._maps = SavedMapsPanel(
                self._visit,
                self._choice,
                self._progress,
                lambda: (self._key, self._source),
                self._choose,
            )

    def _build_timeline(self) -> None:
        with ui.row().classes("full-width items-center studio-gap"):
            ui.label("When it was seen").classes("text-subtitle1 text-weight-medium")
            ui.space()
            self._from = ui.input("From", placeholder="1 hour ago").props("dense outlined")
            self._until = ui.input("Until", placeholder="now").props("dense outlined")
            for field in (self._from, self._until):
                field.style("width: 130px").on("keydown.enter", self._show_all_times)
            ui.button("Show all", on_click=self._show_all_times).props("flat no-caps")
        self._remembering = ProgressLine()
        self._times = SightingTimeline(self._visit, lambda place: self._views.look_at(place))
        self._times.clear(_WHEN_HINT)

    # The map that is shown.

    @tells_errors
    async def open(self, key: str) -> None:
        """Shows another map."""
        source = self._choice.source(key)
        self._leave()
        self._progress.cancel()
        self._key, self._source, self._question = key, source, None
        self._views.reset()
        self._answer.clear(_HINT)
        self._times.clear(_WHEN_HINT)
        self._find.show_place(None)
        self._heat.set_visibility(False)
        self._problem.set_text("")
        ui.navigate.history.replace("/map" if source.live else f"/map?map={key.removeprefix(key_of(''))}")
        self._watch()

        async def work(on_progress: Any) -> bool:
            await source.open(on_progress)
            return True

        done = await self._progress.run(f"opening {source.title}", work)
        if self._source is source and not done:
            self._problem.set_text("This map could not be opened; choose another one.")
        self._refresh()
        await self._maps.refresh()

    def _watch(self) -> None:
        if self._source is not None and not self._visit.gone:
            self._source.watch(self._visit.client_id, cloud=self._views.shows_cloud)
            self._refresh()

    def _leave(self) -> None:
        if self._source is not None:
            self._source.unwatch(self._visit.client_id)

    def _refresh(self) -> None:
        if self._source is None:
            return
        layers = self._source.layers
        self._views.update(layers)
        self._find.show_labels(layers.labels)
        if layers.problem or self._source.live:
            self._problem.set_text(layers.problem)

    # Questions.

    @tells_errors
    async def ask(self, question: Question) -> None:
        """Finds something and shows the answer."""
        source = self._require()
        options = self._find.options(source.layers.now)
        answer = await self._progress.run(
            f"looking for {question.words}", lambda report: source.find(question, options, report)
        )
        if answer is None or source is not self._source:
            return
        answer = without_itself(question, answer)
        self._question = question
        self._answer.show(question, answer)
        self._views.show_answer(answer)
        self._views.show_approach(None)
        self._views.select(answer.things[0] if answer.things else None, look=True)
        self._heat.set_visibility(bool(question.text))
        if question.text and not source.live:
            await self._colour(question.text)

    @tells_errors
    async def _on_heat(self) -> None:
        source, text = self._require(), self._question.text if self._question else ""
        if source.live:
            # The words are a parameter of the node.
            await self._visit.changes(self._colour)(text)
        else:
            await self._colour(text)

    @tells_errors
    async def _colour(self, text: str) -> None:
        source = self._require()

        async def work(on_progress: Any) -> tuple[Any]:
            return (await source.heat(text, on_progress),)

        found = await self._progress.run(f"colouring by '{text}'", work)
        if found is not None and source is self._source:
            self._views.show_heat(found[0], text)

    # Things.

    @tells_errors
    async def _on_thing(self, thing: MapThing) -> None:
        source = self._require()
        self._views.select(thing)
        self._answer.show_thing(thing, source.layers.now)
        known = await source.describe(thing)
        if source is self._source and known is not thing:
            self._answer.show_thing(known, source.layers.now)

    def _on_place(self, place: Point) -> None:
        self._place = place
        self._views.show_place(place)
        self._find.show_place(place)

    @tells_errors
    async def _show_times(self, thing: MapThing) -> None:
        await self._recall(thing_name(thing), RecallOptions(thing=thing.id))

    @tells_errors
    async def _show_all_times(self) -> None:
        now = self._require().layers.now
        since, until = (str(field.value or "").strip() for field in (self._from, self._until))
        options = RecallOptions(
            since=moment(since, now) if since else 0,
            until=moment(until, now) if until else 0,
            most=_MOST_OF_ALL,
        )
        await self._recall(f"Everything from {since or 'the beginning'} until {until or 'now'}", options)

    async def _recall(self, title: str, options: RecallOptions) -> None:
        source = self._require()
        seen = await self._remembering.run("looking into the memory", lambda _: source.recall(options))
        if seen is not None and source is self._source:
            self._times.show(title, seen, source.layers.now)

    @tells_errors
    async def _show_approach(self, thing: MapThing) -> None:
        source = self._require()
        self._views.select(thing)
        place = await self._progress.run("planning where to stand", lambda _: source.approach(thing))
        self._views.show_approach(place)
        if place is not None:
            ui.notify(
                f"Stand at x {place.x:.2f}, y {place.y:.2f} m, the green arrow: {place.message}",
                type="positive",
                multi_line=True,
            )

    @tells_errors
    async def _forget(self, thing: MapThing) -> None:
        source = self._require()
        text = f"Forget {thing_name(thing)}? It leaves the map, and its images leave the memory."
        if not await confirmed(text, "Forget"):
            return
        said = await self._progress.run("forgetting", lambda _: source.forget([thing]))
        if said is not None:
            ui.notify(said, type="positive")
            self._views.show_answer(None)
            self._views.select(None)
            self._answer.clear(_HINT)
            self._refresh()

    def _require(self) -> MapSource:
        if self._source is None:
            raise PerceptionError("no map is open; choose one at the top")
        return self._source

    async def _choose(self, key: str) -> None:
        self._select.set_options(await self._choice.names())
        self._select.value = key


def without_itself(question: Question, answer: MapAnswer) -> MapAnswer:
    """What is like a thing, without the thing."""
    if question.like is None:
        return answer
    others = tuple(one for one in answer.things if one.id != question.like.id)
    if others or answer.kind not in ("found", "unconfirmed"):
        return replace(answer, things=others, message=f"{len(others)} more")
    return replace(answer, kind="not_seen", things=(), message="nothing else in this map looks like it")


async def build(visit: Visit) -> None:
    """Builds the page for one visitor."""
    await MapPage(visit).build()


_CSS = """
.map-columns { column-gap: 0; row-gap: 12px; align-items: flex-start; }
.map-side { padding-left: 12px; }
.map-gap-none { gap: 0; }
.map-gap-xs { gap: 4px; }
.map-card { border-radius: 8px; gap: 4px; }
.map-card-button .q-icon { font-size: 16px; margin-right: 3px; }
@media (max-width: 1023px) {
  .map-columns { flex-direction: column; gap: 10px; align-items: stretch; }
  .map-columns > .nicegui-column { display: contents; }
  .map-find { order: -1; }
}
"""

PAGE = StudioPage(
    path="/map",
    title="Find and map",
    icon="map",
    summary="Where things are, in 3D and from above, and when they were last seen.",
    build=build,
)
