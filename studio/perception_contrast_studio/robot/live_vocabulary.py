"""The queries in force as all visitors see them, and their changes one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast_studio.robot.label_colours import LabelColours
from perception_contrast_studio.robot.query_edits import Edit

if TYPE_CHECKING:
    from perception_contrast.client import PerceptionClient


class LiveVocabulary:
    """Reads the queries again when the node says that they changed, whoever changed them.

    Args:
        client: Of the node.
        colours: Labels get their colours in the order of the queries.
    """

    def __init__(self, client: PerceptionClient, colours: LabelColours) -> None:
        self._client, self._colours = client, colours
        self._lock = asyncio.Lock()
        self.known: Vocabulary | None = None
        self.problem = ""
        self.listeners: list[Callable[[], None]] = []

    async def refresh(self) -> None:
        """Reads the queries in force; a failure becomes ``problem``."""
        try:
            self._take(await self._client.start.get_vocabulary())
        except PerceptionError as error:
            self.problem = str(error)
        self._tell()

    async def change(self, edit: Edit) -> bool:
        """Applies an edit to the queries that are in force now.

        Returns:
            False where another program changed the queries at the same moment, so that its change is lost.

        Raises:
            PerceptionError: The edit or the node refuses it; nothing was changed.
        """
        async with self._lock:
            before = await self._client.start.get_vocabulary()
            version = await self._client.start.set_queries(*edit(before))
            self._take(await self._client.start.get_vocabulary())
        self._tell()
        return version == before.version + 1

    def _take(self, vocabulary: Vocabulary) -> None:
        self.known, self.problem = vocabulary, ""
        self._colours.introduce(one.label for one in vocabulary.queries)

    def _tell(self) -> None:
        for listener in tuple(self.listeners):
            listener()
