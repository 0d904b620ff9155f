"""The files by which an exported model is served: weights, words where it learned some, card, ONNX."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from perception_contrast.core.cache import sha256_of
from perception_contrast.core.file_writing import writing
from perception_contrast.encoders.base import ImageEncoder, Role
from perception_contrast.encoders.clip import load_clip
from perception_contrast.encoders.dinov2 import load_dino
from perception_contrast.encoders.encoder_graph import graph_of
from perception_contrast.encoders.image_text_pair import PairNetwork, save_words
from perception_contrast.encoders.student import described
from perception_contrast.engines.export.export_check import check_export
from perception_contrast.engines.export.onnx_export import LIMIT_BYTES, export_onnx
from perception_contrast.models.folder_models import WEIGHTS, WORDS, folder_model, write_card
from perception_contrast.models.specs import ModelSpec, WordsSpec
from perception_contrast.models.weights import TOKENIZER_FILES
from perception_contrast_training.engine.load_run import TrainedRun
from perception_contrast_training.export.student_export import ServedStudent, copy_teacher, served_student
from perception_contrast_training.methods.distill import Distill
from perception_contrast_training.methods.pairs import Pair
from perception_contrast_training.networks.backbones import Backbone
from perception_contrast_training.networks.lora import merged
from perception_contrast_training.networks.text import SentenceHead, TextSettings
from perception_contrast_training.networks.two_towers import TwoTowers

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """weights: of the tower of images in timm's names, or of both towers in open_clip's. words: those that
    a tower of images was given, and what is said of them. others: files that go along. student: of a
    distilled run."""

    weights: Mapping[str, Tensor]
    words: PairNetwork | None = None
    about: WordsSpec | None = None
    others: Sequence[Path] = ()
    student: ServedStudent | None = None


@dataclass(frozen=True)
class Written:
    """space: of the vectors of images by themselves. shared: of those that are compared with words, ""
    where there are none. cosines: of the ONNX files' outputs with torch's."""

    space: str
    shared: str
    cosines: Mapping[str, float]


def served_weights(network: nn.Module) -> dict[str, Tensor]:
    """A network's tensors by name."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}


def served_by(trained: TrainedRun) -> Served:
    """What a run gives to nodes, with low-rank additions worked in."""
    method: Any = trained.method
    if isinstance(method, Distill):
        student = served_student(method)
        return Served(student.weights, about=student.words, student=student)
    network, pair = trained.backbone, trained.pair
    if isinstance(network, TwoTowers):
        return _own_pair(network, network.served(method.log_scale, getattr(method, "bias", None)))
    trunk = merged(network.network)
    if not isinstance(pair, Pair):
        return Served(served_weights(trunk))
    bias: Tensor | None = getattr(method, "bias", None)
    text: Any = pair.text
    inner = text.head if isinstance(text, SentenceHead) else text.network
    words = PairNetwork(trunk, pair.head, inner, sigmoid=bias is not None)
    with torch.no_grad():
        words.logit_scale.copy_(method.log_scale)
        if bias is not None and words.logit_bias is not None:
            words.logit_bias.copy_(bias)
    return Served(served_weights(trunk), words, _about(pair, trained.recipe.options.text, words, network))


def _own_pair(towers: TwoTowers, network: Any) -> Served:
    if isinstance(network, PairNetwork) and towers.spec.words is not None:
        return Served(served_weights(network.visual.trunk), network, towers.spec.words)
    beside = towers.tower.tokenizer_file
    others = [beside.with_name(name) for name in TOKENIZER_FILES] if beside else []
    return Served(served_weights(network), others=[path for path in others if path.is_file()])


def _about(pair: Pair, settings: TextSettings, words: PairNetwork, backbone: Backbone) -> WordsSpec:
    head, text = pair.head, pair.text
    linear = isinstance(head, nn.Linear)
    sentences = isinstance(text, SentenceHead)
    return WordsSpec(
        tower=settings.tower,
        dim=cast(nn.Linear, head).out_features if linear else backbone.dim,
        file=WORDS,
        head=linear,
        sigmoid=words.logit_bias is not None,
        attention=backbone.is_vit,
        width=0 if sentences else settings.width,
        depth=0 if sentences else settings.depth,
        heads=0 if sentences else settings.heads,
        context=0 if sentences else settings.context,
        hidden=settings.hidden if sentences else 0,
        sentences=text.space if isinstance(text, SentenceHead) else "",
    )


def write_weights(folder: Path, spec: ModelSpec, served: Served) -> ModelSpec:
    """Weights, words and card of a model; gives its spec as a node finds it in the folder."""
    from safetensors.torch import save_file

    student = served.student
    with writing(folder / WEIGHTS) as part:
        save_file(dict(served.weights), str(part), described(student.learned) if student else None)
    if student and student.teacher:
        copy_teacher(student.teacher, folder)
    sha256 = sha256_of(folder / WEIGHTS)
    beside: dict[str, str] = {}
    for path in served.others:
        with writing(folder / path.name) as part:
            shutil.copyfile(path, part)
        beside[path.name] = sha256_of(folder / path.name)
    if served.words is not None:
        beside[WORDS] = save_words(served.words, folder / WORDS, sha256)
    write_card(folder, replace(spec, beside=tuple(sorted(beside.items())), words=served.about), sha256)
    return folder_model(folder)


def write_model(folder: Path, spec: ModelSpec, served: Served, side: int) -> Written:
    """Weights, words, card and ONNX of a model.

    side: in pixels, of the ONNX files' images. The model is loaded by its folder, as a node loads it, and
    what was loaded is exported. Raises ModelError.
    """
    loaded, student = write_weights(folder, spec, served), served.student
    encoders: list[ImageEncoder] = []
    image_networks: list[nn.Module] = []
    if loaded.spatial:
        images = load_dino(loaded)
        encoders.append(images)
        image_networks.append(images)
    if loaded.knows_words and student is None:
        pair = load_clip(loaded)
        encoders.append(pair)
        image_networks.append(pair.network.visual)
    cosines: dict[str, float] = {}
    for encoder, network in zip(encoders, image_networks, strict=True):
        mark = "-words" if encoder is not encoders[0] else ""
        path = folder / f"{spec.name}{mark}-{side}x{side}-fp32.onnx"
        if 4 * sum(parameter.numel() for parameter in network.parameters()) > LIMIT_BYTES:
            logger.warning("%s is left out: an ONNX file holds 2 GB at most", path.name)
            continue
        cosines |= _write_onnx(encoder, path, side, spec.licence)
    shared = "" if not loaded.knows_words else encoders[-1].space
    if student and shared:
        shared = next(one.space for one in encoders[0].outputs if Role.LANGUAGE in one.roles)
    return Written(encoders[0].space, shared, cosines)


def _write_onnx(encoder: ImageEncoder, path: Path, side: int, licence: str) -> dict[str, float]:
    graph = graph_of(encoder)
    export_onnx(graph, path, (side, side), licence=licence)
    return check_export(graph, path, (side, side)) or {}
