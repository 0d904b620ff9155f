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
from perception_contrast_training.methods.ema_teacher_defaults import fitted_twins
from perception_contrast_training.methods.paper_defaults import PUBLISHED, PaperDefaults
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
    """settings: its dataclass, whose defaults are the published ones. make: of a backbone and settings.

    fitted: settings for what there is to learn from, and sentences about what was changed. texts: whether
    it needs captions. locks: whether the backbone stays as it is. paired: whether its views are
    ``PairedViews``. negatives: whether its loss has any, and heeds WHERE in a batch. One that needs captions
    can be made of a model's own two towers too.
    """

    settings: type
    make: Callable[[Any, Settings], Method]
    views: Callable[[Settings, BackboneInput], Views]
    fitted: Callable[[Settings, Scale], tuple[Settings, list[str]]]
    published: PaperDefaults
    texts: bool = False
    locks: bool = False
    paired: bool = False
    negatives: bool = False


METHODS: dict[str, MethodKind] = {
    "simclr": MethodKind(
        simclr.SimclrSettings, simclr.Simclr, SimclrViews, simclr.fitted, PUBLISHED["simclr"],
        paired=True, negatives=True,
    ),
    "byol": MethodKind(
        byol.ByolSettings, byol.Byol, ByolViews, byol.fitted, PUBLISHED["byol"], paired=True
    ),
    "dino": MethodKind(
        dino.DinoSettings, dino.Dino, DinoViews, fitted_twins, PUBLISHED["dino"], paired=True
    ),
    "dinov2": MethodKind(
        dinov2.Dinov2Settings, dinov2.Dinov2, Dinov2Views, fitted_twins, PUBLISHED["dinov2"], paired=True
    ),
    "mae": MethodKind(mae.MaeSettings, mae.Mae, MaeViews, mae.fitted, PUBLISHED["mae"]),
    "clip": MethodKind(
        clip.ClipSettings, clip.make_clip, CaptionedViews, clip.fitted, PUBLISHED["clip"],
        texts=True, negatives=True,
    ),
    "siglip": MethodKind(
        siglip.SiglipSettings, siglip.make_siglip, CaptionedViews, siglip.fitted, PUBLISHED["siglip"],
        texts=True, negatives=True,
    ),
    "lit": MethodKind(
        lit.LitSettings, lit.make_lit, CaptionedViews, lit.fitted, PUBLISHED["lit"],
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

    lora: adapts the backbone's weights by small additions alone (``networks.low_rank.merged`` works them
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
