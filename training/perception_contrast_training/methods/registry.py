"""Learning methods by name: their settings, networks, views, and what they make of few data."""

from __future__ import annotations

from typing import Any, cast

import torch

from perception_contrast.core import plugins
from perception_contrast.core.errors import RecipeError
from perception_contrast_training.config.schema import nearest
from perception_contrast_training.methods import byol, clip, dino, dinov2, distill, lit, mae, siglip, simclr
from perception_contrast_training.methods.base import Method, Views
from perception_contrast_training.methods.ema_teacher_defaults import fit_ema_teacher
from perception_contrast_training.methods.method_kind import MethodKind, Settings
from perception_contrast_training.methods.paper_defaults import PAPER_DEFAULTS, VIT_DEFAULTS
from perception_contrast_training.networks.backbones import Backbone, BackboneSettings
from perception_contrast_training.networks.lora import LoraSettings, adapt
from perception_contrast_training.networks.text import TextSettings
from perception_contrast_training.networks.two_towers import Network, TwoTowers, make_network
from perception_contrast_training.views.byol import ByolViews
from perception_contrast_training.views.captioned import CaptionedViews
from perception_contrast_training.views.dino import DinoViews
from perception_contrast_training.views.dinov2 import Dinov2Views
from perception_contrast_training.views.distill import DistillViews
from perception_contrast_training.views.mae import MaeViews
from perception_contrast_training.views.simclr import SimclrViews
from perception_contrast_training.views.view_transform import wanted_by

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
    "distill": MethodKind(
        distill.DistillSettings, distill.make_distill, DistillViews, distill.fit_to_data,
        PAPER_DEFAULTS["distill"],
    ),
}  # fmt: skip


def method_kind(name: str) -> MethodKind:
    """Finds a learning method.

    Args:
        name: A name of ``METHODS``; a name that an installed package registers in the group of entry points
            ``perception_contrast.methods``; or ``my_package.vicreg:KIND``, an attribute of a module.

    Returns:
        The description of the method.

    Raises:
        RecipeError: There is no such method (the message names the nearest), or its module cannot be
            imported.
    """
    if name in METHODS:
        return METHODS[name]
    found = plugins.find_plugin(plugins.METHODS, name, MethodKind, RecipeError)
    if found is not None:
        return found
    known = [*METHODS, *plugins.registered_names(plugins.METHODS)]
    raise RecipeError(
        f"method '{name}' is unknown{nearest(name.lower(), known)}; one of your own is named "
        "my_package.module:KIND"
    )


def short_name(name: str) -> str:
    """Gives a method's name for files and models.

    Args:
        name: As of ``method_kind``.

    Returns:
        The name; of ``my_package.vicreg:KIND`` it is ``vicreg``.
    """
    return name.partition(":")[0].rpartition(".")[2].lower() if plugins.is_module_name(name) else name


def network_of(name: str, settings: Settings, backbone: BackboneSettings) -> Network:
    """Makes the network that a method trains.

    Args:
        name: As of ``method_kind``.
        settings: Settings of the method.
        backbone: Settings of the backbone.

    Returns:
        A backbone, or both encoders of an image-text model.

    Raises:
        ModelError: The weights are missing or wrong.
        RecipeError: The settings do not fit each other.
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
    """Makes a method with its backbone, and its views. Initial weights come from torch's random numbers.

    Args:
        name: As of ``method_kind``.
        settings: Settings of the method, of the class ``MethodKind.settings``.
        backbone: The backbone, or its settings.
        lora: Low-rank additions that are trained instead of the backbone's weights (Hu et al., LoRA, ICLR
            2022); ``networks.lora.merged`` merges them. None trains the weights.

    Returns:
        The method, and what makes its views.

    Raises:
        RecipeError: The settings do not fit each other.
        ModelError: The weights are missing or wrong.
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
    shown = views(blank, torch.Generator().manual_seed(0)).values()
    made = [view for view in shown if view.dim() > 2 and view.is_floating_point()]
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
