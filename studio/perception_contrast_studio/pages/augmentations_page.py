"""The views that a learning method makes of your frames, step by step."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from nicegui import background_tasks, ui

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.shared.encoder_choice import VECTORS, EncoderChoice
from perception_contrast_studio.components.shared.latest import Latest
from perception_contrast_studio.components.views.frame_chooser import FrameChooser
from perception_contrast_studio.components.views.recipe_choice import RecipeChoice
from perception_contrast_studio.components.views.recipe_sliders import RecipeSliders
from perception_contrast_studio.components.views.save_recipe_dialog import SaveRecipeDialog
from perception_contrast_studio.components.views.view_gallery import ViewGallery
from perception_contrast_studio.server.studio_page import StudioPage, Visit

ENCODER = "dinov2-s14"
MOST_SEED = 2**31 - 1
EXPLANATION = """
A network that learns without labels is shown the same image twice, changed by chance each time: cut,
mirrored, recoloured, softened. It learns to give both views nearly the same vector, and different images
different ones. So **what the views change is what the network learns to ignore**, and what they keep is
what it learns to see.

- The steps are those of the training code itself, with its own random numbers. Seed and draw settle all
  of them: a run with this recipe and seed makes the same view at that place of its order. (A run on few
  or small images may soften some values; `perception-contrast train run --check` says which.)
- The **cosine** tells how alike an encoder finds two images: 1 is the same. Under a step it compares the
  image before and after it. A low value marks what this encoder does not yet ignore.
- Try: lower the smallest area of a crop until the two views show different things. Set hue to 0 for a
  robot that is asked for "the red mug". Set mirror to 0 where words say left and right.
"""


class AugmentationsView:
    """One visitor's view of the page."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._info: dict[str, Any] = {}
        self._sliders: RecipeSliders | None = None
        self._urls: list[str] = []
        self._digests: dict[str, str] = {}
        self._replays = False
        self._views = Latest(self._show_views, self._say_problem)
        self._cosines = Latest(self._show_cosines, self._say_problem)
        visit.on_leave(self._views.close)
        visit.on_leave(self._cosines.close)

    def build(self) -> None:
        """Lays the page out."""
        with ui.expansion("What is this?", icon="help_outline").classes("full-width"):
            ui.markdown(EXPLANATION)
        with ui.row().classes("full-width items-start q-col-gutter-md").style("margin: 0; gap: 0"):
            with ui.column().classes("col-12 col-md-4 col-lg-3"):
                self._controls()
            with ui.column().classes("col-12 col-md-8 col-lg-9"):
                self._problem = ui.label().classes("text-negative studio-wrap").props("role=alert")
                self._status = ui.label("Preparing the training code ...").classes("text-body2 studio-wrap")
                self._status.props('role=status data-testid="status"')
                self._between = ui.label().classes("text-subtitle1 studio-wrap")
                self._between.props('data-testid="between"')
                self._gallery = ViewGallery()
        self._save_dialog = SaveRecipeDialog(self._visit, self._reload_recipes)

    def _controls(self) -> None:
        self._recipe = RecipeChoice(self._visit, self._recipe_chosen)
        self._frames = FrameChooser(self._visit, self._views.request)
        with ui.row().classes("items-center full-width no-wrap"):
            self._seed = ui.number("Seed of the run", value=0, min=0, max=MOST_SEED, precision=0)
            self._draw = ui.number("Draw", value=0, min=0, max=MOST_SEED, precision=0)
            for one in (self._seed, self._draw):
                one.props("dense outlined").classes("col").on_value_change(self._views.request)
        with ui.row().classes("full-width"):
            ui.button("Replay", icon="replay", on_click=self._replay).props("outline dense")
            ui.button("Next draw", icon="casino", on_click=self._next).props("dense")
        self._encoder = EncoderChoice(self._visit, ENCODER, self._cosines.request)
        ui.separator()
        with ui.row().classes("full-width items-center justify-between"):
            ui.label("Values of the recipe").classes("text-subtitle2")
            ui.button("Reset", icon="restart_alt", on_click=self._reset).props("flat dense")
        self._values = ui.column().classes("full-width")
        ui.button("Save as recipe", icon="save", on_click=self._visit.changes(self._save)).props("outline")

    async def start(self) -> None:
        """Fills the controls; the page is there already."""
        try:
            await self._recipe.load()
            await self._frames.start()
            await self._encoder.load()
        except PerceptionError as error:
            self._say_problem(str(error))

    async def _recipe_chosen(self) -> None:
        if not self._recipe.path:
            return
        try:
            self._info = await asyncio.shield(
                self._visit.studio.workers.run("training.augmentations:recipe", path=self._recipe.path)
            )
        except PerceptionError as error:
            self._say_problem(str(error))
            return
        self._values.clear()
        with self._values:
            self._sliders = RecipeSliders(self._info["controls"], self._views.request)
        self._seed.set_value(self._info["seed"])
        self._views.request()

    async def _reload_recipes(self) -> None:
        await self._recipe.load()

    def _arguments(self) -> dict[str, Any]:
        return {
            "path": self._recipe.path,
            "changes": self._sliders.changes if self._sliders else {},
            "source": self._frames.source,
            "seed": int(self._seed.value or 0),
            "draw": int(self._draw.value or 0),
        }

    async def _show_views(self) -> None:
        if not self._recipe.path or not self._frames.source:
            return
        arguments = self._arguments()
        found = await asyncio.shield(
            self._visit.studio.workers.run("training.augmentations:views", **arguments)
        )
        old, self._urls = self._urls, []
        sources = [
            {**one, "url": self._publish(one.pop("jpeg")), "alt": alt}
            for one, alt in zip(found["sources"], ("the image", "its partner, another frame"), strict=False)
        ]
        digest = hashlib.sha256()
        for step in (step for view in found["views"] for step in view["steps"]):
            data = step.pop("jpeg")
            digest.update(data or b"-")
            step["url"] = self._publish(data) if data else ""
        self._gallery.show(sources, found["views"])
        self._between.set_text("")
        self._status.set_text(self._sentence(arguments, found, digest.hexdigest()))
        for url in old:
            self._visit.studio.blobs.remove(url)
        self._cosines.request()

    def _publish(self, data: bytes) -> str:
        self._urls.append(self._visit.publish(data, "image/jpeg"))
        return self._urls[-1]

    def _sentence(self, arguments: dict[str, Any], found: dict[str, Any], digest: str) -> str:
        """What is shown, and after a replay whether it is the same as before."""
        key = repr({**arguments, "source": _name_of(arguments["source"])})
        before = self._digests.get(key)
        self._digests = {**dict(list(self._digests.items())[-20:]), key: digest}
        count = sum(1 for view in found["views"] for step in view["steps"] if step["url"])
        said = f"{self._info['method']}: {len(found['views'])} views, {count} steps"
        if found["text"]:
            said += f"; caption: {found['text']}"
        if self._replays and before is not None:
            same = f"all {count} images are the same to the last bit"
            said += f". Replayed: {same if before == digest else 'the images differ'}"
        self._replays = False
        return f"{said} ({digest[:12]})"

    async def _show_cosines(self) -> None:
        if not self._recipe.path or not self._frames.source:
            return
        arguments, name = self._arguments(), self._encoder.name
        self._between.set_text(f"{name}: computing cosines ...")
        found = await asyncio.shield(
            self._visit.studio.workers.run(
                "training.augmentations:cosines", lane=VECTORS, encoder=name, **arguments
            )
        )
        if arguments == self._arguments():
            self._gallery.show_cosines(found)
            self._between.set_text(_between(name, found["between"]))

    def _say_problem(self, text: str) -> None:
        self._problem.set_text(text)

    def _replay(self) -> None:
        self._replays = True
        self._views.request()

    def _next(self) -> None:
        self._draw.set_value(int(self._draw.value or 0) + 1)

    def _reset(self) -> None:
        if self._sliders is not None:
            self._sliders.reset()
        self._seed.set_value(self._info.get("seed", 0))

    def _save(self) -> None:
        if self._sliders is None:
            return
        self._save_dialog.open(
            self._recipe.path, f"my_{self._recipe.chosen['name']}"[:64], self._sliders.changes
        )


def _name_of(source: dict[str, Any]) -> str:
    if "data" in source:
        return hashlib.sha256(source["data"]).hexdigest()
    return f"{source['path']} {source['index']}"


def _between(encoder: str, cosines: list[list[float]]) -> str:
    """The cosine of the first two views in words."""
    if len(cosines) < 2:
        return f"{encoder}: this method makes one view of an image"
    value = cosines[0][1]
    judged = "nearly the same" if value > 0.9 else "related" if value > 0.6 else "rather different"
    return f"{encoder} finds the two views {judged}: cosine {value:.3f}"


async def build(visit: Visit) -> None:
    """Builds the page for one visitor."""
    view = AugmentationsView(visit)
    view.build()
    client = ui.context.client

    async def start() -> None:
        with client:
            await view.start()

    visit.on_leave(background_tasks.create(start(), name="augmentations").cancel)


PAGE = StudioPage(
    path="/augmentations",
    title="Augmentations",
    icon="auto_fix_high",
    summary="The views that a learning method makes of your frames, step by step.",
    build=build,
)
