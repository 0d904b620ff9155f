"""How views are made: colours that all methods share, and what a backbone wants of an image."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torchvision.transforms import InterpolationMode

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.networks.two_towers import Network
from perception_contrast_training.views.pixels import (
    BICUBIC,
    Range,
    blurred,
    flipped,
    grey,
    jittered,
    normalised,
    random_crop,
    solarised,
    to_float,
)
from perception_contrast_training.views.random_source import RandomSource


@dataclass(frozen=True)
class BackboneInput:
    """Of a backbone: size and patch in pixels, mean and std of RGB in [0, 1]."""

    size: int
    patch: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def size_of(self, size: int, what: str = "size") -> int:
        """``size``, or the backbone's where that is 0. Raises RecipeError unless patches fill it."""
        chosen = size or self.size
        if chosen % self.patch:
            near = max(self.patch, round(chosen / self.patch) * self.patch)
            raise RecipeError(
                f"views.{what} {chosen} does not fall into patches of {self.patch} pixels; use {near}"
            )
        return chosen


def wanted_by(backbone: Network) -> BackboneInput:
    # A convolution needs no multiple of it.
    patch = backbone.patch if backbone.is_vit else 1
    return BackboneInput(backbone.size, patch, backbone.mean, backbone.std)


def shown_by(image: Tensor, partner: Tensor | None) -> tuple[Tensor, Tensor]:
    """What two views show: the image and its partner, or the image twice."""
    return image, image if partner is None else partner


@dataclass(frozen=True)
class ViewTransform:
    """One kind of view. area: shares of the image that a crop has. The others: probabilities, and how far
    colours go. Left and right stay with flip 0, colours' names with hue 0."""

    size: int
    area: Range
    wanted: BackboneInput
    flip: float = 0.5
    jitter: float = 0.8
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grey: float = 0.2
    blur: float = 0.0
    kernel: int = 9
    solarise: float = 0.0
    interpolation: InterpolationMode = BICUBIC
    sigma: Range = (0.1, 2.0)

    def of(self, source: Tensor, chance: RandomSource) -> Tensor:
        """(3, h, w) uint8 to (3, size, size) float32, normalised."""
        cut = random_crop(source, self.size, self.area, chance, interpolation=self.interpolation)
        image = to_float(flipped(cut, self.flip, chance))
        if chance.happens(self.jitter):
            image = jittered(image, self.brightness, self.contrast, self.saturation, self.hue, chance)
        if chance.happens(self.grey):
            image = grey(image)
        if chance.happens(self.blur):
            image = blurred(image, self.kernel, self.sigma, chance)
        if chance.happens(self.solarise):
            image = solarised(image)
        return normalised(image, self.wanted.mean, self.wanted.std)
