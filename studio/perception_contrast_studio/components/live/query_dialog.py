"""The dialog that edits one query: its label, phrases, negatives and threshold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from perception_contrast.core.vocabulary import Query
from perception_contrast_studio.components.shared.confirm_dialog import discard


async def edit_query(query: Query, forget_examples: Callable[[str], Awaitable[None]]) -> Query | None:
    """Asks for changes.

    Args:
        query: As it is.
        forget_examples: Called with the label when the examples should go.

    Returns:
        The changed query without exemplars, which stay; None where nothing should change.
    """
    with ui.dialog() as dialog, ui.card().classes("live-dialog"):
        ui.label("Edit query").classes("text-h6")
        label = ui.input("Name in the results", value=query.label).classes("full-width")
        phrases = ui.textarea(
            "Phrases, one a line", value="\n".join(query.phrases), placeholder=f"none: '{query.label}' itself"
        ).classes("full-width")
        phrases.props("autogrow").tooltip("Several words for one thing, such as: a red mug")
        negatives = ui.textarea("It is not (negatives), one a line", value="\n".join(query.negatives))
        negatives.classes("full-width").props("autogrow")
        own = ui.checkbox("A threshold of its own", value=query.threshold is not None)
        threshold = ui.slider(min=0.01, max=0.99, step=0.01, value=query.threshold or 0.5)
        threshold.props('label aria-label="Threshold of this query"').bind_visibility_from(own, "value")
        if query.exemplars or query.negative_exemplars:
            with ui.row().classes("items-center"):
                ui.label(
                    f"{len(query.exemplars)} examples, {len(query.negative_exemplars)} of what it is not"
                )

                async def forget() -> None:
                    dialog.submit(None)
                    await forget_examples(query.label)

                ui.button("Forget them", on_click=forget).props("flat")
        with ui.row().classes("justify-end full-width"):
            ui.button("Cancel", on_click=lambda: dialog.submit(None)).props("flat")
            ui.button("Save", on_click=lambda: dialog.submit(True))
    try:
        if not await dialog:
            return None
        return _changed(
            query,
            str(label.value or ""),
            _lines(phrases.value),
            _lines(negatives.value),
            float(threshold.value) if own.value else None,
        )
    finally:
        discard(dialog)


def _changed(
    query: Query, label: str, phrases: tuple[str, ...], negatives: tuple[str, ...], threshold: float | None
) -> Query:
    """A renamed query still looks for what its former name said, unless phrases say otherwise."""
    name = label.strip()
    if name != query.label and phrases == query.phrases:
        phrases = query.texts()
    return Query(name, phrases, threshold=threshold, negatives=negatives)


def _lines(text: str | None) -> tuple[str, ...]:
    return tuple(line.strip() for line in (text or "").splitlines() if line.strip())
