"""The encoders that can be exported, and the check of a written file against float32 torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from perception_contrast.core.embedding_spaces import require_same_space, space_name
from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.alignment_head import load_alignment
from perception_contrast.encoders.base import ImageEncoder
from perception_contrast.encoders.clip import load_clip
from perception_contrast.encoders.dense.method_names import AUTO
from perception_contrast.encoders.dinov2 import DinoTower, load_dino
from perception_contrast.encoders.encoder_graph import EncoderGraph, graph_of
from perception_contrast.encoders.household_lit import PACKAGED, HouseholdLit
from perception_contrast.encoders.load_image_encoder import load_image_encoder
from perception_contrast.encoders.timm_backbones import create_network
from perception_contrast.engines.accuracy_gate import LIMITS, compare, gate_images
from perception_contrast.engines.export.exported_encoder import CPU, ExportedEncoder, UnservableError
from perception_contrast.models.download import Progress
from perception_contrast.models.registry import LIT_TOWER, model_spec
from perception_contrast.text.base import TextEncoder

CUDA = "CUDAExecutionProvider"


def graph_to_export(
    name: str,
    *,
    offline: bool = False,
    random_init: bool = False,
    dense: str = AUTO,
    progress: Progress | None = None,
) -> EncoderGraph:
    """The image encoder of any model, on the CPU, ready for an export.

    Args:
        name: the model. One of images alone that training gave words is exported without them unless
            ``dense`` names a method.
        offline: never ask a model hub.
        random_init: fetch no weights, for checks of the computation; household-lit's head stays.
        dense: the method of dense features of an image-text model; others have none to choose.
        progress: told of downloads.

    Raises:
        ModelError: there is no such model, or it has no such method.
    """
    spec = model_spec(name)
    if dense != AUTO and (not spec.knows_words or spec.family in ("lit", "student")):
        raise ModelError(f"'{name}' has one way to its dense features; use dense {AUTO}")
    if spec.family == "lit":
        if random_init:
            tower = random_dino(LIT_TOWER)
        else:
            tower = load_dino(LIT_TOWER, offline=offline, pinned=True, progress=progress)
        return graph_of(_lit(name, tower, any_tower=random_init).image_encoder)
    if random_init:
        return graph_of(random_encoder(name, dense))
    if spec.spatial and dense == AUTO:
        return graph_of(load_image_encoder(name, offline=offline, progress=progress))
    return graph_of(load_clip(name, offline=offline, method=dense, progress=progress))


def check_export(graph: EncoderGraph, path: Path, size: tuple[int, int]) -> dict[str, float] | None:
    """Output to the smallest cosine of its vectors with those of float32 torch, on the gate's photographs.

    None where no provider of this machine can run the file. Raises ModelError if a cosine is below the
    limit of the file's precision.
    """
    encoder = _served(path)
    if encoder is None:
        return None
    worst: dict[str, float] = {}
    for images in gate_images(graph, size):
        with torch.inference_mode():
            reference = dict(zip(graph.names, graph(images), strict=True))
        for name, cosine in compare(reference, encoder.run(images.numpy()), graph.map_names).items():
            worst[name] = min(cosine, worst.get(name, 1.0))
    name, least = min(worst.items(), key=lambda item: item[1])
    limit = LIMITS[encoder.facts.precision]
    if least < limit:
        raise ModelError(
            f"the export of '{graph.model}' in {encoder.facts.precision} does not give what torch gives: the "
            f"smallest cosine of '{name}' is {least:.5f}, below {limit}; nothing was written"
        )
    return worst


def _served(path: Path) -> ExportedEncoder | None:
    try:
        return ExportedEncoder(path, [CPU])
    except UnservableError:
        if not torch.cuda.is_available():
            return None
    try:
        return ExportedEncoder(path, [CUDA, CPU])
    except ModelError:
        return None


def random_encoder(name: str, method: str = AUTO) -> ImageEncoder:
    """A model at random initialisation, on the CPU.

    Args:
        name: any model but household-lit.
        method: of dense features, as of ``load_clip``.

    Raises:
        ModelError: there is no such model.
    """
    if model_spec(name).spatial:
        return random_dino(name)
    return load_clip(name, random_init=True, method=method)


def random_dino(name: str) -> DinoTower:
    """An encoder of images alone at random initialisation, on the CPU."""
    spec = model_spec(name)
    torch.manual_seed(0)
    vit = create_network(spec.arch, spec.size, dict(spec.options))
    return DinoTower(vit, spec, space_name(spec.name, "random")).eval().requires_grad_(False)


def _lit(name: str, tower: ImageEncoder, *, any_tower: bool) -> HouseholdLit:
    head, facts, sha256 = load_alignment(PACKAGED[name].alignment)
    if not any_tower:
        require_same_space(facts.get("image_space", tower.space), tower.space, "alignment head")
    lit = HouseholdLit(tower, head, _NoWords(), space_name(name, sha256), facts, model=name)
    return lit.eval().requires_grad_(False)


class _NoWords(TextEncoder):
    """In place of the sentence encoder, which an export of images does not need."""

    model, space, dim, wording = "none", "none@0", 0, ""

    def canonical(self, text: str) -> str:
        return text

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise ModelError("this household-lit was made for images alone; load_encoders gives one with words")
