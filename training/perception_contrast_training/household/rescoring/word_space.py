"""The space of words that a rescoring head learns: that of a finished alignment head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perception_contrast.core.embedding_spaces import require_same_space, space_name
from perception_contrast.encoders.alignment_head import (
    AlignmentHead,
    load_alignment,
    require_words,
    word_space,
)
from perception_contrast.encoders.household_lit import PACKAGED
from perception_contrast.models.registry import HOUSEHOLD_LIT
from perception_contrast_training.config.rescoring_recipe import RescoringRecipe
from perception_contrast_training.household.sentences import SentenceBank


@dataclass(frozen=True)
class WordSpace:
    """A head's words on its sentence tower.

    Attributes:
        head: The alignment head.
        bank: Encodes sentences.
        space: Of the words.
        whole: Of the whole head, which files of before name as the words' space.
        image: Of the image tower that the head belongs to.
    """

    head: AlignmentHead
    bank: SentenceBank
    space: str
    whole: str
    image: str

    def require_same(self, facts: Mapping[str, str], what: str) -> None:
        """Raises SpaceError unless a rescoring head's facts name these towers and words."""
        require_same_space(facts.get("image_space", self.image), self.image, what)
        require_words(facts.get("word_space", self.space), self.space, self.whole, what)


def word_head(words: str) -> tuple[str, Path]:
    """The model and the alignment head's file that a recipe's ``words`` name."""
    model = words if words in PACKAGED else HOUSEHOLD_LIT.name
    return model, Path(words) if words and words not in PACKAGED else PACKAGED[model].alignment


def load_word_space(recipe: RescoringRecipe, *, offline: bool = False) -> WordSpace:
    """The space that a recipe names.

    Raises:
        ModelError: The head cannot be read.
        SpaceError: The head is of other towers.
    """
    from perception_contrast.encoders.dinov2 import load_dino
    from perception_contrast.text.sentence_encoder import load_minilm

    model, path = word_head(recipe.words)
    head, facts, sha256 = load_alignment(path)
    tower = load_dino(recipe.image_tower, offline=offline, pinned=True)
    sentences = load_minilm(offline=offline)
    require_same_space(facts.get("image_space", tower.space), tower.space, f"head {path.name}")
    require_same_space(facts.get("text_space", sentences.space), sentences.space, f"head {path.name}")
    head.requires_grad_(False)
    whole = space_name(model, sha256)
    return WordSpace(head, SentenceBank(sentences), word_space(head), whole, tower.space)
