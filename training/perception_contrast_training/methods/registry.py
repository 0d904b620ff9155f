"""Learning methods by name: their settings, networks, views, and what they make of few data."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.methods import byol, clip, dino, dinov2, lit, mae, siglip, simclr
from perception_contrast_training.methods.base import Method, Views
from perception_contrast_training.methods.ema_teacher_defaults import fit_ema_teacher
from perception_contrast_training.methods.paper_defaults import PAPER_DEFAULTS, VIT_DEFAULTS, PaperDefaults
from perception_contrast_training.methods.scaling import Scale
from perception_contrast_training.networks.backbones import Backbone, BackboneSettings
from perception_contrast_training.networks.lora import LoraSettings, adapt
from perception_contrast_training.networks.text import TextSettings
from perception_contrast_training.networks.two_towers import Network, TwoTowers, make_network
from perception_contrast_training.views.byol import ByolViews
from perception_contrast_training.views.captioned import CaptionedViews
from perception_contrast_training.views.dino import DinoViews
from perception_contrast_training.views.dinov2 import Dinov2Views
from perception_contrast_training.views.mae import MaeViews
from perception_contrast_training.views.simclr import SimclrViews
from perception_contrast_training.views.view_transform import BackboneInput, wanted_by

Settings = Any
"""One of the methods' frozen dataclasses; ``MethodKind.settings`` says which."""


@dataclass(frozen=True)
class MethodKind:
    """What there is to know of a learning method before it is made.

    Attributes:
        settings: Its dataclass, whose defaults are those of the paper.
        make: Makes it of a backbone (with captions: of a model's own two towers too) and settings.
        views: Makes its views, of its settings and what the backbone takes.
        fit_to_data: Settings for the images there are, and sentences about what was changed.
        paper_defaults: How its authors moved its weights.
        vit_defaults: How a ViT's weights are moved, where the authors' way is for ResNets; None for the same.
        texts: Whether it needs captions.
        locks: Whether the backbone stays as it is.
        paired: Whether its views are ``PairedViews``.
        negatives: Whether its loss has any, and heeds FRAME_POSITIONS in a batch.
    """

    settings: type
    make: Callable[[Any, Settings], Method]
    views: Callable[[Settings, BackboneInput], Views]
    fit_to_data: Callable[[Settings, Scale], tuple[Settings, list[str]]]
    paper_defaults: PaperDefaults
    texts: bool = False
    locks: bool = False
    paired: bool = False
    negatives: bool = False
    vit_defaults: PaperDefaults | None = None

    def defaults_for(self, optimiser: str) -> PaperDefaults:
        """The published settings that belong to an optimiser."""
        if self.vit_defaults is not None and self.vit_defaults.optimiser == optimiser:
            return self.vit_defaults
        return self.paper_defaults


METHODS: dict[str, MethodKind] = {
    "simclr": MethodKind(
        simclr.SimclrSettings, simclr.Simclr, SimclrViews, simclr.fit_to_data, PAPER_DEFAULTS["simclr"],
        paired=True, negatives=True, vit_defaults=VIT_DEFAULTS["simclr"],
    ),
    "byol": MethodKind(
        byol.ByolSettings, byol.Byol, ByolViews, byol.fit_to_data, PAPER_DEFAULTS["byol"], paired=True,
        vit_defaults=VIT_DEFAULTS["byol"],
    ),
    "dino": MethodKind(
        dino.DinoSettings, dino.Dino, DinoViews, fit_ema_teacher, PAPER_DEFAULTS["dino"], paired=True
    ),
    "dinov2": MethodKind(
        dinov2.Dinov2Settings, dinov2.Dinov2, Dinov2Views, fit_ema_teacher, PAPER_DEFAULTS["dinov2"],
        paired=True,
    ),
    "mae": MethodKind(mae.MaeSettings, mae.Mae, MaeViews, mae.fit_to_data, PAPER_DEFAULTS["mae"]),
    "clip": MethodKind(
        clip.ClipSettings, clip.make_clip, CaptionedViews, clip.fit_to_data, PAPER_DEFAULTS["clip"],
        texts=True, negatives=True,
    ),
    "siglip": MethodKind(
        siglip.SiglipSettings, siglip.make_siglip, CaptionedViews, siglip.fit_to_data,
        PAPER_DEFAULTS["siglip"], texts=True, negatives=True,
    ),
    "lit": MethodKind(
        lit.LitSettings, lit.make_lit, CaptionedViews, lit.fit_to_data, PAPER_DEFAULTS["lit"],
        texts=True, locks=True, negatives=True,
    ),
}  # fmt: skip


def method_kind(name: str) -> MethodKind:
    """Raises RecipeError that names the nearest method."""
    if name in METHODS:
        return METHODS[name]
    near = difflib.get_close_matches(name.lower(), METHODS, 1)
    remedy = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(METHODS)}"
    raise RecipeError(f"method '{name}' is unknown; {remedy}")


def network_of(name: str, settings: Settings, backbone: BackboneSettings) -> Network:
    """What a method learns on: a backbone, or both towers of a model that knows words.

    Raises ModelError for weights, RecipeError for settings that do not fit each other.
    """
    kind = method_kind(name)
    text: TextSettings | None = settings.text if kind.texts else None
    return make_network(backbone, text, lit=kind.locks)


def make_method(
    name: str,
    settings: Settings,
    backbone: Network | BackboneSettings,
    lora: LoraSettings | None = None,
) -> tuple[Method, Views]:
    """A method on its backbone, and what makes its views. Initial weights come from torch's own chance.

    lora: adapts the backbone's weights by small additions alone (``networks.lora.merged`` works them
    in). Raises RecipeError for settings that do not fit each other, ModelError for weights.
    """
    kind = method_kind(name)
    if not isinstance(settings, kind.settings):
        raise RecipeError(f"method '{name}' takes {kind.settings.__name__}, not {type(settings).__name__}")
    made = network_of(name, settings, backbone) if isinstance(backbone, BackboneSettings) else backbone
    if lora is not None and lora.rank:
        if isinstance(made, TwoTowers):
            made.adapt(lora)
        elif kind.locks:
            raise RecipeError(f"'{name}' leaves the backbone as it is; set lora.rank to 0, or choose clip")
        else:
            adapt(made.network, lora)
    views = kind.views(cast(Any, settings).views, wanted_by(made))
    if isinstance(made, Backbone) and not made.is_vit:
        _require_sides(name, made, views)
    return kind.make(made, settings), views


def _require_sides(name: str, backbone: Backbone, views: Views) -> None:
    """Raises RecipeError for views that the network cannot see: too small, or not of its only size."""
    blank = torch.zeros(3, backbone.size, backbone.size, dtype=torch.uint8)
    made = [view for view in views(blank, torch.Generator().manual_seed(0)).values() if view.dim() > 2]
    was = backbone.training
    backbone.eval()
    for view in made:
        try:
            with torch.no_grad():
                backbone(view.reshape(-1, *view.shape[-3:])[:1])
        except (RuntimeError, AssertionError) as error:
            option = "options.views.local_size" if view.shape[-1] < backbone.size else "backbone.size"
            raise RecipeError(
                f"'{backbone.architecture.name}' cannot see the views of {view.shape[-1]} pixels that {name} "
                f"makes ({error}); set {option} to what it takes"
            ) from error
    backbone.train(was)
