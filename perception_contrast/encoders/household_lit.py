"""household-lit: DINOv2, a sentence encoder, and the small alignment head on both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from perception_contrast.core.embedding_spaces import require_same_space, space_name
from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.alignment_head import (
    CAPTIONS,
    TRAINED_ABSENT,
    WORDS,
    AlignmentHead,
    colour_statistics,
    load_alignment,
    require_words,
    word_space,
)
from perception_contrast.encoders.base import (
    EncoderOutput,
    FittedScores,
    ImageEncoder,
    LanguageModel,
    Role,
)
from perception_contrast.encoders.dense.method_names import LIT
from perception_contrast.encoders.familiarity.training_images import TrainingImages, load_training_images
from perception_contrast.encoders.rescoring_head import Rescoring, load_rescoring_head
from perception_contrast.models.logit_scale import LogitScale
from perception_contrast.models.registry import HOUSEHOLD_LIT, HOUSEHOLD_LIT_RENDERED
from perception_contrast.models.specs import Triple
from perception_contrast.text.base import TextEncoder

_DATA = Path(__file__).parents[1] / "models" / "data"


@dataclass(frozen=True)
class PackagedHeads:
    """The files of a packaged model.

    Attributes:
        alignment: of whole images and words.
        rescoring: of enlarged crops.
        images: statistics of the images that they learned from.
    """

    alignment: Path
    rescoring: Path
    images: Path


PACKAGED = {
    name: PackagedHeads(
        *(_DATA / f"household_{part}{ending}.safetensors" for part in ("lit", "rescoring", "images"))
    )
    for name, ending in ((HOUSEHOLD_LIT.name, ""), (HOUSEHOLD_LIT_RENDERED.name, "_rendered"))
}
HEAD_FILE, RESCORING_FILE = PACKAGED[HOUSEHOLD_LIT.name].alignment, PACKAGED[HOUSEHOLD_LIT.name].rescoring


def learned_from(name: str) -> tuple[str, ...]:
    """What a packaged model's heads learned from, a line each, with the terms of photographs.

    Raises:
        ModelError: a head's file is missing or not readable.
    """
    packaged = PACKAGED[name]
    told = [load_alignment(packaged.alignment)[1], load_rescoring_head(packaged.rescoring)[1]]
    sets = [one for facts in told for one in json.loads(facts.get("learned_from", "[]"))]
    lines = [f"{one['photographs']} photographs of {one['set']} ({one['licence']})" for one in sets]
    return ("rendered rooms", *dict.fromkeys(lines))


class AlignedTextEncoder(TextEncoder):
    """A sentence encoder followed by the head's adapter for words."""

    def __init__(
        self, sentences: TextEncoder, head: AlignmentHead, space: str, model: str = HOUSEHOLD_LIT.name
    ) -> None:
        self._sentences, self._head = sentences, head
        self.model, self.space, self.dim = model, space, head.config.dim
        self.wording, self.sentences_per_text = sentences.wording, sentences.sentences_per_text

    def canonical(self, text: str) -> str:
        """The sentence tower's."""
        return self._sentences.canonical(text)

    def unknown(self, texts: Sequence[str]) -> tuple[str, ...]:
        """The sentence tower's."""
        return self._sentences.unknown(texts)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim) float32, unit rows."""
        device = self._head.log_scale.device
        with torch.inference_mode():
            vectors = self._head.text_embedding(torch.from_numpy(self._sentences.encode(texts)).to(device))
        embedded: NDArray[np.float32] = vectors.float().cpu().numpy()
        return embedded


class AlignedEncoder(nn.Module, ImageEncoder):
    """household-lit's image side: an image encoder and the alignment head in one pass.

    Args:
        encoder: gives the blocks that the head reads.
        head: the alignment head.
        space: identity of the space that images share with words.
        model: its name.
    """

    def __init__(
        self, encoder: ImageEncoder, head: AlignmentHead, space: str, model: str = HOUSEHOLD_LIT.name
    ) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.model, self.family, self.space = model, HOUSEHOLD_LIT.family, space
        self.dim, self.patch, self.method = head.config.dim, encoder.patch, LIT
        self.layers = head.config.layers
        self.mean: Triple = encoder.mean
        self.std: Triple = encoder.std
        self._cell = self.patch // head.config.up
        self._pooled = [Role.SPATIAL_POOLED in one.roles for one in encoder.outputs].index(True)
        self.register_buffer("_mean", torch.tensor(self.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor(self.std).view(1, 3, 1, 1), persistent=False)
        self._mean: Tensor
        self._std: Tensor

    @property
    def outputs(self) -> tuple[EncoderOutput, ...]:
        """The encoder's own outputs, then the head's."""
        grid = EncoderOutput("grid", (Role.LANGUAGE,), self.space, unit=True)
        image = EncoderOutput("picture", (Role.LANGUAGE_POOLED,), self.space, unit=True)
        cues = EncoderOutput("things", (Role.INSTANCE_CUES,), self.space)
        return (*self.encoder.outputs, grid, image, *((cues,) if self.head.config.things else ()))

    @property
    def backbone(self) -> ImageEncoder:
        return self.encoder

    def encode(self, images: Tensor, layers: Sequence[int] = ()) -> tuple[Tensor, ...]:
        """As ``ImageEncoder.encode``; gives no ``layers``."""
        given = self.encoder.encode(images, self.layers)
        own, blocks = given[: len(self.encoder.outputs)], given[len(self.encoder.outputs) :]
        # Colours come from the image itself, never from a reduced number format.
        colours = colour_statistics(images * self._std + self._mean, self._cell)
        grid, trunk, cues = self.head.grid(blocks, colours)
        image = self.head.image_embedding(own[self._pooled], trunk)
        return (*own, grid, image) if cues is None else (*own, grid, image, cues)


class HouseholdLit(nn.Module, LanguageModel):
    """household-lit: images and words in one small space.

    Args:
        tower: the image encoder that the head reads.
        head: the alignment head.
        sentences: the sentence encoder below the head's adapter for words.
        space: identity of the shared space, made of the head's sha256.
        facts: what was written with the head.
        rescoring: the head for enlarged crops of regions, or None.
        model: its name.
        training_images: statistics of the images that the head was trained on, or None.
    """

    def __init__(
        self,
        tower: ImageEncoder,
        head: AlignmentHead,
        sentences: TextEncoder,
        space: str,
        facts: Mapping[str, str] | None = None,
        rescoring: Rescoring | None = None,
        model: str = HOUSEHOLD_LIT.name,
        training_images: TrainingImages | None = None,
    ) -> None:
        super().__init__()
        self._rescoring, self._training_images = rescoring, training_images
        self.facts: dict[str, str] = dict(facts or {})
        self._trained_absent = trained_absent_names(self.facts)
        self.tower, self.head = tower, head
        self.model, self.space, self.dim = model, space, head.config.dim
        self.image_encoder: ImageEncoder = AlignedEncoder(tower, head, space, model)
        self.text: TextEncoder = AlignedTextEncoder(sentences, head, space, model)

    @property
    def logit_scale(self) -> LogitScale:
        """Of whole images with captions, which the head learned by a softmax over them."""
        return LogitScale(self.head.log_scale[CAPTIONS].detach().exp().item())

    @property
    def fitted(self) -> FittedScores:
        """The head's scale and bias of words."""
        return fitted_scores(self.head, self.facts)

    @property
    def rescoring(self) -> Rescoring | None:
        return self._rescoring

    @property
    def trained_absent(self) -> frozenset[str]:
        return self._trained_absent

    @property
    def training_images(self) -> TrainingImages | None:
        return self._training_images


def load_household_lit(
    tower: ImageEncoder,
    sentences: TextEncoder,
    *,
    device: str = "cpu",
    path: Path | None = None,
    rescoring: Path | None = None,
    name: str = HOUSEHOLD_LIT.name,
) -> HouseholdLit:
    """Loads the alignment head for an image encoder and a sentence encoder.

    Args:
        tower: the image encoder.
        sentences: the sentence encoder.
        device: of the result.
        path: the alignment head; None takes the package's of this name.
        rescoring: the head for enlarged crops; None takes the package's for the package's alignment head.
        name: of the model, one of ``PACKAGED``.

    Raises:
        ModelError: a file is missing or not readable.
        SpaceError: a head was fitted to other encoders.
    """
    packaged = PACKAGED[name]
    path = path or packaged.alignment
    head, facts, sha256 = load_alignment(path)
    require_same_space(facts.get("image_space", tower.space), tower.space, f"alignment head {path.name}")
    require_same_space(
        facts.get("text_space", sentences.space), sentences.space, f"alignment head {path.name}"
    )
    space = space_name(name, sha256)
    chosen = rescoring
    if chosen is None and path == packaged.alignment and packaged.rescoring.is_file():
        chosen = packaged.rescoring
    found = None if chosen is None else _rescoring(chosen, tower.space, word_space(head), space, device)
    images = None
    if path == packaged.alignment and packaged.images.is_file():
        images = _training_images(packaged.images, tower.space)
    model = HouseholdLit(tower, head, sentences, space, facts, found, name, images)
    return model.eval().requires_grad_(False).to(device)


def fitted_scores(head: AlignmentHead, facts: Mapping[str, str]) -> FittedScores:
    """A head's scale and bias of words, with what was written with it."""
    return FittedScores(head.log_scale[WORDS].detach().exp().item(), head.bias[WORDS].item(), facts)


def trained_absent_names(facts: Mapping[str, str]) -> frozenset[str]:
    """The names in a head's facts; none in a head from before they were kept. Raises ModelError."""
    try:
        names = json.loads(facts.get(TRAINED_ABSENT, "[]"))
    except ValueError as error:
        raise ModelError(f"the names that {HOUSEHOLD_LIT.name} calls absent are not readable") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelError(f"the names that {HOUSEHOLD_LIT.name} calls absent are not a list of words")
    return frozenset(name.casefold() for name in names)


def _training_images(path: Path, image_space: str) -> TrainingImages:
    images = load_training_images(path)
    require_same_space(images.space, image_space, f"statistics {path.name}")
    return images


def _rescoring(path: Path, image_space: str, words: str, whole: str, device: str) -> Rescoring:
    """words, whole: spaces of the alignment head, as ``require_words`` takes them."""
    head, facts, _ = load_rescoring_head(path)
    what = f"rescoring head {path.name}"
    require_same_space(facts.get("image_space", ""), image_space, what)
    require_words(facts.get("word_space", ""), words, whole, what)
    try:
        layers = tuple(int(layer) for layer in json.loads(facts["layers"]))
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(
            f"rescoring head '{path}' does not say which blocks it reads; restore the file"
        ) from error
    return Rescoring(head.requires_grad_(False).to(device), layers, facts)
