"""Pages are read on a forge as well as on the site: what only a forge resolves becomes what MyST does.

An anchor of its own (`<a id="name"></a>`) becomes a target of that name. A link to a file outside docs/
becomes a download, one to a folder there its name: the site has no page for them.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

ANCHOR = re.compile(r'^<a id="([^"]+)"></a>$', re.MULTILINE)
OUTSIDE = re.compile(r"\[([^\]]*)\]\((\.\./[^)#\s]+)(?:#[^)\s]*)?\)")


def for_the_site(text: str, folder: Path) -> str:
    """The text of a page in ``folder``, with anchors and links as MyST knows them."""

    def outside(link: re.Match[str]) -> str:
        words, path = link.groups()
        if (folder / path).is_dir():
            return f"{words} (`{path.removeprefix('../')}`)"
        return f"{{download}}`{words.replace('`', '')} <{path}>`"

    return OUTSIDE.sub(outside, ANCHOR.sub(r"(\1)=", text))


def _on_source_read(app: Sphinx, name: str, source: list[str]) -> None:
    path = Path(app.env.doc2path(name))
    if path.parent == Path(app.srcdir):
        source[0] = for_the_site(source[0], path.parent)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _on_source_read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
