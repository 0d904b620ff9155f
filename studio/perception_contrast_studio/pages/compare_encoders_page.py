"""The same frame through two encoders, and their scores on your data."""

from __future__ import annotations

from nicegui import ui

from perception_contrast_studio.components.encoders import encoder_image, method_table
from perception_contrast_studio.components.encoders.encoder_pair_choice import EncoderPairChoice
from perception_contrast_studio.components.encoders.encoder_session import EncoderSession
from perception_contrast_studio.components.encoders.encoder_views import EncoderViews
from perception_contrast_studio.components.encoders.frame_choice import FrameChoice
from perception_contrast_studio.components.encoders.score_radar import ScoreRadar
from perception_contrast_studio.server.studio_page import StudioPage, Visit

WHAT = """
An encoder turns an image into numbers: a vector for each small square of it (a **cell**), and one for the
whole image. What two encoders hold alike depends on how they learned. **CLIP** learned which caption belongs
to which image, so its vectors are about what things are called. **DINO** learned without any words that parts
of an image belong together, so its cells are about shape, parts and places.

Things to try:

- *PCA colours*: does a thing stand out from what is behind it? Are its parts told apart?
- *Click similarity*: click a chair leg. Do other legs light up, or the whole chair, or everything?
- *Attention*: which cells does the image's own vector come from?
- *Label propagation*: label a few points here and see whether another frame of the recording gets them right.
- *Retrieval*: does an encoder find frames of the same place, or of the same kind of thing?
- *Scores*: numbers on your own data. Pictures persuade, but only numbers say which encoder serves you better.
"""


async def build(visit: Visit) -> None:
    """Builds the page for one visitor."""
    ui.add_css(encoder_image.CSS)
    ui.add_css(method_table.CSS)
    session = EncoderSession(visit)

    def leave() -> None:
        session.gone = True

    visit.on_leave(leave)
    with ui.expansion("What is this?", icon="help_outline").classes("full-width"):
        ui.markdown(WHAT).style("max-width: 860px")
    with ui.card().classes("full-width q-mb-md"):
        choice = EncoderPairChoice(session)
        frames = FrameChoice(session)
    with ui.card().classes("full-width q-mb-md"):
        EncoderViews(session)
    with ui.card().classes("full-width q-mb-md"):
        ui.label("Scores on your data").classes("text-h6").props("role=heading aria-level=2")
        ScoreRadar(session)
    with ui.card().classes("full-width"):
        ui.label("Seven ways to learn").classes("text-h6").props("role=heading aria-level=2")
        await method_table.method_table(visit)
    visit.on_leave(choice.progress.cancel)

    async def start() -> None:
        await frames.load()
        await choice.load()
        await session.changed()

    # After the page is there: loading takes seconds the first time.
    ui.timer(0.1, start, once=True)


PAGE = StudioPage(
    path="/encoders",
    title="CLIP against DINO",
    icon="compare",
    summary="The same frame through two encoders, and their scores on your data.",
    build=build,
)
