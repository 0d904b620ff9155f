"""Colours by name, materials by name, and how their surfaces reflect light."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

RGB = tuple[float, float, float]

# Name: hue range in degrees, saturation range, value range.
_COLOURS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "red": ((-10, 8), (0.75, 1.0), (0.5, 0.95)),
    "orange": ((20, 34), (0.8, 1.0), (0.8, 1.0)),
    "yellow": ((48, 60), (0.7, 1.0), (0.8, 1.0)),
    "green": ((95, 150), (0.5, 0.95), (0.3, 0.75)),
    "blue": ((208, 238), (0.6, 0.95), (0.4, 0.95)),
    "purple": ((265, 288), (0.5, 0.85), (0.35, 0.8)),
    "pink": ((318, 345), (0.3, 0.6), (0.85, 1.0)),
    "brown": ((18, 32), (0.5, 0.75), (0.25, 0.5)),
    "turquoise": ((170, 185), (0.55, 0.9), (0.6, 0.85)),
    "beige": ((32, 46), (0.18, 0.35), (0.78, 0.92)),
    "black": ((0, 360), (0.0, 0.15), (0.03, 0.12)),
    "white": ((0, 360), (0.0, 0.05), (0.9, 1.0)),
    "grey": ((0, 360), (0.0, 0.06), (0.35, 0.65)),
}
COLOURS: tuple[str, ...] = tuple(_COLOURS)

# Words for the colours; the second tuple is only ever used by the evaluation.
COLOUR_SYNONYMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "red": (("scarlet", "ruby red"), ("crimson",)),
    "orange": (("tangerine",), ("amber-orange",)),
    "yellow": (("golden yellow", "lemon-coloured"), ("canary yellow",)),
    "green": (("grass green", "dark green"), ("emerald",)),
    "blue": (("navy blue", "royal blue"), ("azure blue",)),
    "purple": (("violet",), ("lilac",)),
    "pink": (("rose",), ("light pink",)),
    "brown": (("chocolate brown", "dark brown"), ("chestnut brown",)),
    "turquoise": (("teal", "cyan"), ("aqua",)),
    "beige": (("cream", "tan"), ("sand-coloured",)),
    "black": (("jet black", "dark black"), ("pitch-black",)),
    "white": (("snow white", "off-white"), ("ivory",)),
    "grey": (("gray", "silver-grey"), ("slate gray",)),
}


def named_colour(rng: np.random.Generator, name: str) -> RGB:
    """A random RGB in [0, 1] that people call by that name."""
    hue, saturation, value = (rng.uniform(*span) for span in _COLOURS[name])
    return colorsys.hsv_to_rgb((hue % 360.0) / 360.0, saturation, value)


@dataclass(frozen=True)
class Finish:
    """How a surface takes light. grain: kind of grey detail texture, or "" for a plain surface."""

    specular: float
    shininess: float
    reflectance: float = 0.0
    grain: str = ""
    alpha: float = 1.0
    colours: tuple[str, ...] = ()


MATERIALS: dict[str, Finish] = {
    "plastic": Finish(0.5, 0.6),
    "wood": Finish(0.2, 0.3, grain="wood", colours=("brown", "beige", "orange", "white", "black", "grey")),
    "metal": Finish(0.95, 0.85, 0.15, "metal", colours=("grey", "black", "white", "red", "blue", "green")),
    "ceramic": Finish(0.8, 0.9),
    "glass": Finish(1.0, 1.0, 0.1, alpha=0.45),
    "fabric": Finish(0.05, 0.05, grain="fabric"),
    "leather": Finish(0.35, 0.35, grain="leather", colours=("brown", "black", "red", "beige", "white")),
    "paper": Finish(0.05, 0.05, grain="paper"),
    "rubber": Finish(0.15, 0.1),
    "stone": Finish(0.3, 0.3, grain="stone", colours=("grey", "white", "black", "beige", "brown")),
    "wicker": Finish(0.1, 0.1, grain="wicker", colours=("brown", "beige", "white", "grey", "black")),
}
MATERIAL_WORDS: dict[str, tuple[str, ...]] = {
    "plastic": ("plastic",),
    "wood": ("wooden", "wood"),
    "metal": ("metal", "steel"),
    "ceramic": ("ceramic", "porcelain"),
    "glass": ("glass",),
    "fabric": ("fabric", "cloth"),
    "leather": ("leather",),
    "paper": ("paper", "cardboard"),
    "rubber": ("rubber",),
    "stone": ("stone", "marble"),
    "wicker": ("wicker", "woven"),
}

# Fixed looks of parts that are not coloured by chance: RGB range and finish.
ROLES: dict[str, tuple[RGB, RGB, Finish]] = {
    "metal": ((0.55, 0.55, 0.56), (0.8, 0.8, 0.8), MATERIALS["metal"]),
    "dark": ((0.03, 0.03, 0.03), (0.13, 0.13, 0.14), MATERIALS["plastic"]),
    "white": ((0.88, 0.87, 0.84), (1.0, 1.0, 1.0), MATERIALS["plastic"]),
    "grey": ((0.35, 0.35, 0.36), (0.62, 0.62, 0.62), MATERIALS["plastic"]),
    "wood": ((0.36, 0.22, 0.12), (0.75, 0.55, 0.35), MATERIALS["wood"]),
    "glass": ((0.7, 0.8, 0.85), (0.9, 0.95, 1.0), MATERIALS["glass"]),
    "screen": ((0.01, 0.01, 0.02), (0.1, 0.12, 0.18), Finish(0.9, 0.9, 0.05)),
    "leaf": ((0.08, 0.25, 0.06), (0.3, 0.55, 0.2), MATERIALS["rubber"]),
    "rubber": ((0.04, 0.04, 0.04), (0.12, 0.12, 0.12), MATERIALS["rubber"]),
    "paper": ((0.85, 0.83, 0.75), (0.98, 0.97, 0.93), MATERIALS["paper"]),
    "brass": ((0.6, 0.45, 0.15), (0.8, 0.62, 0.25), MATERIALS["metal"]),
}


def _noise(rng: np.random.Generator, size: int, cells: tuple[int, int]) -> np.ndarray:
    """Smooth noise in [0, 1], (size, size), that repeats at its edges."""
    import cv2

    coarse = rng.random(cells, dtype=np.float32)
    wrapped = np.pad(coarse, 2, mode="wrap")
    scale = (size // cells[0], size // cells[1])
    large = cv2.resize(wrapped, (wrapped.shape[1] * scale[1], wrapped.shape[0] * scale[0]), interpolation=2)
    return np.asarray(large[2 * scale[0] : 2 * scale[0] + size, 2 * scale[1] : 2 * scale[1] + size]).clip(
        0, 1
    )


def grain(rng: np.random.Generator, kind: str, size: int = 256) -> np.ndarray:
    """A grey detail texture (size, size, 3) uint8, bright on average, that a colour is multiplied with."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    if kind == "wood":
        warp = _noise(rng, size, (4, 4)) * rng.uniform(0.2, 1.0)
        rings = np.sin(2 * np.pi * (rng.integers(4, 14) * x + warp * 3))
        field = 0.85 + rng.uniform(0.02, 0.07) * rings + 0.14 * (_noise(rng, size, (4, 128)).T - 0.5)
    elif kind == "fabric":
        threads = int(rng.choice([32, 64]))
        field = 0.85 + 0.08 * np.sin(2 * np.pi * threads * x) * np.sin(2 * np.pi * threads * y)
        field += 0.12 * (_noise(rng, size, (64, 64)) - 0.5)
    elif kind == "metal":
        field = 0.88 + 0.12 * (_noise(rng, size, (2, 128)) - 0.5)
    elif kind == "leather":
        field = 0.85 + 0.2 * (_noise(rng, size, (64, 64)) - 0.5) + 0.1 * (_noise(rng, size, (16, 16)) - 0.5)
    elif kind == "stone":
        veins = np.abs(np.sin(2 * np.pi * (2 * x + 2 * _noise(rng, size, (8, 8)))))
        field = 0.75 + 0.2 * veins**0.5 + 0.1 * (_noise(rng, size, (64, 64)) - 0.5)
    elif kind == "wicker":
        n = 16
        weave = np.where(
            (np.floor(x * n) + np.floor(y * n)) % 2 > 0,
            np.sin(np.pi * n * x) ** 2,
            np.sin(np.pi * n * y) ** 2,
        )
        field = 0.5 + 0.5 * weave
    elif kind == "tile":
        n = int(rng.choice([2, 4, 8]))
        joint = (np.mod(x * n, 1) < 0.05) | (np.mod(y * n, 1) < 0.05)
        field = np.where(joint, 0.6, 0.92) + 0.06 * (_noise(rng, size, (16, 16)) - 0.5)
    elif kind == "planks":
        n = 8
        joint = np.mod(x * n, 1) < 0.04
        shade = rng.uniform(0.75, 0.98, n)[np.minimum((x * n).astype(int), n - 1)]
        field = np.where(joint, 0.5, shade) + 0.12 * (_noise(rng, size, (4, 128)).T - 0.5)
    elif kind == "checks":
        n = int(rng.choice([4, 8]))
        field = np.where((np.floor(x * n) + np.floor(y * n)) % 2 > 0, 0.95, rng.uniform(0.5, 0.8))
    elif kind == "stripes":
        n = int(rng.choice([4, 8, 16]))
        field = np.where(np.floor(x * n) % 2 > 0, 0.95, rng.uniform(0.5, 0.85))
    else:  # paper, plaster
        field = 0.9 + 0.12 * (_noise(rng, size, (64, 64)) - 0.5) + 0.08 * (_noise(rng, size, (8, 8)) - 0.5)
    grey = (np.clip(field, 0, 1) * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
