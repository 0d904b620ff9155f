"""The frame around each page: menu, title, colours, errors."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from nicegui import Client, ui
from nicegui.client import ClientConnectionTimeout

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.server.studio_page import StudioPage, Visit

_LOG = logging.getLogger(__name__)
CONNECT_SECONDS = 30.0
# Colours that people with any of the common kinds of colour blindness can tell (Okabe and Ito, 2008).
PRIMARY, SECONDARY, ACCENT = "#0072b2", "#56b4e9", "#cc79a7"
POSITIVE, WARNING, NEGATIVE = "#009e73", "#e69f00", "#d55e00"
DARK_SCRIPT = """
(() => {
  const key = 'studio-dark', stored = localStorage.getItem(key);
  const prefers = window.matchMedia('(prefers-color-scheme: dark)').matches;
  window.studioDark = {
    value: stored === null ? prefers : stored === '1',
    set(on) { this.value = on; localStorage.setItem(key, on ? '1' : '0'); Quasar.Dark.set(on); },
    toggle() { this.set(!this.value); },
  };
  const apply = () => window.Quasar ? Quasar.Dark.set(window.studioDark.value) : setTimeout(apply, 20);
  apply();
})();
"""


async def show_page(page: StudioPage, pages: Sequence[StudioPage], visit: Visit) -> None:
    """Builds a page in its frame; an error becomes a card that says what to do."""
    ui.colors(
        primary=PRIMARY,
        secondary=SECONDARY,
        accent=ACCENT,
        positive=POSITIVE,
        negative=NEGATIVE,
        warning=WARNING,
        info=SECONDARY,
    )
    ui.add_body_html(f"<script>{DARK_SCRIPT}</script>")
    ui.add_css(_CSS)
    with ui.header().classes("items-center q-py-xs studio-header"):
        ui.link("Skip to the page", "#content").classes("studio-skip")
        menu = ui.button(icon="menu").props('flat color=white dense aria-label="Menu"')
        ui.label("perception_contrast studio").classes("text-subtitle1 gt-xs")
        ui.label(page.title).classes("text-h6 q-mx-md").props("role=heading aria-level=1")
        ui.space()
        if not visit.rights.change:
            ui.link("view only", "/login").classes("text-white").tooltip(
                "Log in with the token to change things"
            )
        dark = ui.button(icon="dark_mode").props('flat color=white dense aria-label="Dark or light"')
        dark.on("click", js_handler="() => window.studioDark.toggle()")
    drawer = ui.left_drawer(value=False, bordered=True).props("width=210 breakpoint=1100 show-if-above")
    with drawer, ui.element("nav").props('aria-label="Pages"').classes("column full-width"):
        for one in pages:
            _menu_entry(one, one is page)
    menu.on_click(drawer.toggle)
    # The layout's own element is the landmark "main".
    with ui.element("div").props("id=content tabindex=-1").classes("full-width studio-content"):
        waiting = ui.spinner(size="lg").classes("q-ma-lg")
        try:
            # The browser shows the frame while a page reads what may take long.
            await ui.context.client.connected(CONNECT_SECONDS)
        except ClientConnectionTimeout:
            return
        waiting.delete()
        try:
            await page.build(visit)
        except PerceptionError as error:
            show_problem(str(error))
        except Exception as error:
            if ui.context.client.id not in Client.instances:
                return  # The visitor left while it was built.
            _LOG.exception("the page '%s' could not be built", page.path)
            show_problem(f"This page could not be built: {error}. The studio's log has the details.")


def show_problem(text: str) -> None:
    """A card that tells what is wrong."""
    with ui.card().classes("q-ma-md").props("role=alert"), ui.row().classes("items-center no-wrap"):
        ui.icon("error_outline", size="md", color="negative")
        ui.label(text).classes("studio-wrap")


def _menu_entry(page: StudioPage, current: bool) -> None:
    classes = "studio-menu-entry" + (" studio-menu-current" if current else "")
    with ui.link(target=page.path).classes(classes) as link:
        if current:
            link.props("aria-current=page")
        ui.icon(page.icon, size="sm").props("aria-hidden=true")
        ui.label(page.title)
        ui.tooltip(page.summary)


_CSS = """
.nicegui-content { padding: 0; }
.studio-content { padding: 12px; }
.studio-menu-entry { display: flex; gap: 12px; align-items: center; padding: 10px 12px; border-radius: 8px;
  color: inherit !important; text-decoration: none !important; width: 100%; }
.studio-menu-entry:hover, .studio-menu-entry:focus-visible { background: rgba(0, 114, 178, .12); }
.studio-menu-current { background: rgba(0, 114, 178, .2); font-weight: 600; }
.studio-gap { gap: 8px; }
.studio-wrap { overflow-wrap: anywhere; white-space: pre-wrap; }
:focus-visible { outline: 2px solid #e69f00; outline-offset: 1px; }
/* Quasar takes the outline of its buttons away, with a rule that outranks ours. */
.q-btn:focus-visible { box-shadow: 0 0 0 3px #e69f00; }
#content:focus { outline: none; }
.studio-skip { position: absolute; left: -1000px; }
.studio-skip:focus { left: 8px; background: #fff; color: #0072b2 !important; padding: 4px 8px; z-index: 1; }
.body--dark .text-primary { --q-primary: #56b4e9; }
@media (max-width: 600px) { .studio-content { padding: 6px; } }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; animation: none !important; } }
"""
