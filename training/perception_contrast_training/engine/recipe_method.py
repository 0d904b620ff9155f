"""The networks and the method of a pretraining recipe, with the same initial weights each time."""

from __future__ import annotations

from typing import cast

import torch

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.config.pretraining_recipe import PretrainRecipe
from perception_contrast_training.data.loading.batches import derived_seed
from perception_contrast_training.methods.base import Method, Views
from perception_contrast_training.methods.pairs import Towers
from perception_contrast_training.methods.registry import make_method, network_of
from perception_contrast_training.networks.backbones import Backbone
from perception_contrast_training.networks.two_towers import Network


def initial_backbone(recipe: PretrainRecipe) -> Network:
    """The network at its start; the same one for the same recipe.

    Raises:
        RecipeError: The network cannot be made, or its images are smaller than one of its cells: it would
            learn, and could not be exported.
    """
    torch.manual_seed(derived_seed(recipe.seed, 0))
    network = network_of(recipe.method, recipe.options, recipe.backbone)
    if isinstance(network, Backbone) and network.size < network.patch:
        raise RecipeError(
            f"images of {network.size} pixels are smaller than a cell of '{recipe.backbone.name}'; choose a "
            f"size of {network.patch} or more"
        )
    return network


def method_of(recipe: PretrainRecipe, backbone: Network) -> tuple[Method, Views]:
    """The recipe's method on a backbone, and what makes its views."""
    torch.manual_seed(derived_seed(recipe.seed, 1))
    return make_method(recipe.method, recipe.options, backbone, recipe.lora)


def towers_of(method: Method) -> Towers | None:
    """Both towers of a method that learns from captions."""
    return cast(Towers | None, getattr(method, "pair", None))
