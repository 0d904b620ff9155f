"""How views are made: colours that all methods share, and what a backbone wants of an image."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torchvision.transforms import InterpolationMode

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.networks.two_towers import Network
from perception_contrast_training.views.draws import Draw
from perception_contrast_training.views.observer import SOURCE, tell
from perception_contrast_training.views.pixels import (
    BICUBIC,
    Range,
    blurred,
    crop_box,
    cropped,
    drawn_colours,
    flipped,
    grey,
    jittered,
    normalised,
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

    @property
    def changed(self) -> tuple[bool, bool, bool, bool]:
        """Whether brightness, contrast, saturation and hue change at all."""
        return bool(self.brightness), bool(self.contrast), bool(self.saturation), bool(self.hue)

    def draw(self, height: int, width: int, chance: RandomSource) -> Draw:
        """What happens to an image of so many pixels."""
        box = crop_box(height, width, self.area, chance)
        flip = chance.happens(self.flip)
        colours = None
        if chance.happens(self.jitter):
            colours = drawn_colours(self.brightness, self.contrast, self.saturation, self.hue, chance)
        grey = chance.happens(self.grey)
        sigma = chance.uniform(*self.sigma) if chance.happens(self.blur) else 0.0
        return Draw(box, flip, colours, grey, sigma, chance.happens(self.solarise))

    def of(self, source: Tensor, chance: RandomSource) -> Tensor:
        """(3, h, w) uint8 to (3, size, size) float32, normalised."""
        return self.shown(source, self.draw(source.shape[-2], source.shape[-1], chance))

    def shown(self, source: Tensor, draw: Draw) -> Tensor:
        """The view of a draw."""
        tell(SOURCE, source)
        cut = cropped(source, draw.box, self.size, self.interpolation)
        image = to_float(flipped(cut, draw.flip))
        if draw.colours is not None:
            image = jittered(image, draw.colours, self.changed)
        elif self.jitter:
            tell("colours", None)
        if draw.grey:
            image = grey(image)
        if draw.grey or self.grey:
            tell("grey", image if draw.grey else None)
        if draw.sigma:
            image = blurred(image, self.kernel, draw.sigma)
        elif self.blur:
            tell("blur", None)
        if draw.solarise:
            image = solarised(image)
        if draw.solarise or self.solarise:
            tell("solarise", image if draw.solarise else None)
        return normalised(image, self.wanted.mean, self.wanted.std)
