"""What the robot looks for: chips to add, edit and remove, for queries and distractors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from nicegui import ui

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.vocabulary import Query, Vocabulary
from perception_contrast_studio.components.live.query_dialog import edit_query
from perception_contrast_studio.robot import query_edits
from perception_contrast_studio.robot.frame_hub import FrameHub
from perception_contrast_studio.robot.label_colours import css
from perception_contrast_studio.robot.query_edits import Edit
from perception_contrast_studio.server.studio_page import Visit

# More chips than this are counted, not drawn: a named vocabulary may have a thousand.
MOST_CHIPS = 60


class QueryPanel:
    """Shows the queries in force, whoever set them.

    Args:
        visit: The visitor's view.
        hub: What visitors share; entered already.
    """

    def __init__(self, visit: Visit, hub: FrameHub) -> None:
        assert hub.vocabulary is not None
        self._visit, self._hub, self._vocabulary = visit, hub, hub.vocabulary
        ui.label("Look for").classes("text-subtitle1 text-weight-medium")
        self._input = self._entry(
            "What to look for", "mug, seat: a sofa; a chair; !stool", "look-for", query_edits.adding
        )
        self._queries = ui.row().classes("live-chips items-center").props('role=list aria-label="Queries"')
        with ui.expansion("Ignore (distractors)", icon="visibility_off").classes("full-width").props("dense"):
            ui.label(
                "Words for things that compete with what you look for and are never reported, such as wall."
            ).classes("text-caption")
            self._ignored = self._entry(
                "What to ignore", "wall, floor", "ignore", query_edits.adding_distractors
            )
            self._distractors = ui.row().classes("live-chips").props('role=list aria-label="Distractors"')
        self._problem = ui.label().classes("text-caption studio-wrap").props("role=status")
        self._vocabulary.listeners.append(self.draw)
        visit.on_leave(self._forget)
        self.draw()

    def _entry(self, label: str, example: str, name: str, make: Callable[[str], Edit]) -> ui.input:
        field = ui.input(label, placeholder=example).classes("full-width")
        field.props(f"dense outlined clearable maxlength=2000 data-testid={name}")

        async def add() -> None:
            text = str(field.value or "")
            if text.strip() and await self._tried(lambda: make(text)):
                field.value = ""

        async def remove_last() -> None:
            if not field.value and name == "look-for" and self._vocabulary.known:
                queries = self._vocabulary.known.queries
                if queries:
                    await self._tried(lambda: query_edits.removing(queries[-1].label))

        field.on("keydown.enter", self._visit.changes(add))
        field.on(
            "keydown.backspace",
            self._visit.changes(remove_last),
            # Only where there was nothing left to erase.
            js_handler="(event) => { if (!event.target.value && !event.repeat) emit() }",
        )
        with field.add_slot("append"):
            button = ui.button(icon="add", on_click=self._visit.changes(add)).props("flat dense round")
            button.props(f'aria-label="Add: {label}"')
        return field

    async def _tried(self, make: Callable[[], Edit]) -> bool:
        """Applies an edit; tells what went wrong."""
        try:
            alone = await self._vocabulary.change(make())
        except PerceptionError as error:
            ui.notify(str(error), type="warning", multi_line=True)
            return False
        if not alone:
            ui.notify(
                "Another program changed the queries at the same moment; look whether they are as you want.",
                type="warning",
            )
        return True

    def draw(self) -> None:
        """Shows the queries in force now."""
        known = self._vocabulary.known
        self._problem.text = self._vocabulary.problem
        self._problem.visible = bool(self._vocabulary.problem)
        self._queries.clear()
        self._distractors.clear()
        with self._queries:
            self._draw_queries(known)
        with self._distractors:
            for one in (known.distractors if known else ())[:MOST_CHIPS]:
                self._distractor(one)

    def _draw_queries(self, known: Vocabulary | None) -> None:
        if known is None:
            return
        if not known.queries:
            ui.label("Nothing yet. Type the name of a thing above, or show an example in the image.").classes(
                "text-caption"
            )
        for query in known.queries[:MOST_CHIPS]:
            self._chip(query)
        if len(known.queries) > MOST_CHIPS:
            ui.label(f"and {len(known.queries) - MOST_CHIPS} more").classes("text-caption")

    def _chip(self, query: Query) -> None:
        async def remove() -> None:
            await self._tried(lambda: query_edits.removing(query.label))

        async def edit() -> None:
            changed = await edit_query(query, self._clear_examples)
            if changed is not None:
                await self._tried(lambda: query_edits.replacing(query.label, changed))

        colour = css(self._hub.colours.of(query.label))
        with ui.element("div").classes("live-chip").props("role=listitem"):
            ui.element("span").classes("live-dot").style(f"background: {colour}")
            text = ui.button(query.label, on_click=self._visit.changes(edit))
            text.props(f'flat dense no-caps aria-label="Edit {_attribute(query.label)}"')
            for mark in _marks(query):
                ui.label(mark).classes("text-caption live-mark")
            text.tooltip(query_edits.in_one_line(query))
            close = ui.button(icon="close", on_click=self._visit.changes(remove))
            close.props(f'flat dense round size=sm aria-label="Remove {_attribute(query.label)}"')

    def _distractor(self, text: str) -> None:
        async def remove() -> None:
            await self._tried(lambda: query_edits.removing_distractor(text))

        with ui.element("div").classes("live-chip").props("role=listitem"):
            ui.label(text).classes("q-px-sm")
            close = ui.button(icon="close", on_click=self._visit.changes(remove))
            close.props(f'flat dense round size=sm aria-label="Remove {_attribute(text)}"')

    async def _clear_examples(self, label: str) -> None:
        await self._tried(lambda: query_edits.forgetting_examples(label))

    def _forget(self) -> None:
        with suppress(ValueError):
            self._vocabulary.listeners.remove(self.draw)


def _marks(query: Query) -> Sequence[str]:
    marks = []
    if query.exemplars:
        marks.append(f"{len(query.exemplars)} shown")
    if query.negatives or query.negative_exemplars:
        marks.append(f"{len(query.negatives) + len(query.negative_exemplars)} not")
    if query.threshold is not None:
        marks.append(f"from {query.threshold:.2f}")
    return marks


def _attribute(text: str) -> str:
    """A text within the double quotes of a prop."""
    return text.replace("\\", "").replace('"', "'")
