"""Names of the methods of dense language features, and which a pair of models can use.

Loads no model library. ``methods.py`` has the table of what they do.
"""

from __future__ import annotations

from perception_contrast.core.errors import ModelError
from perception_contrast.models.registry import model_spec
from perception_contrast.models.specs import ModelSpec

AUTO = "auto"
STOCK = "stock"
# Methods that change the last block's attention and need nothing but the tower itself.
EDITS = ("maskclip", "sclip", "clearclip", "naclip", "naradio")
PROXY = "proxyclip"
LIT = "lit"
METHODS = (STOCK, *EDITS, PROXY, LIT)

ALONE = "naclip"
# Families whose patches tell things apart well enough to say which belong together.
PROXIES = ("dino", "dinov2", "dinov3")


def methods_of(spec: ModelSpec) -> tuple[str, ...]:
    """The methods of an image-text model; a convolutional one has no attention to change."""
    convolutional = spec.family == "mobileclip" or (spec.words is not None and not spec.words.attention)
    return (STOCK,) if convolutional else (STOCK, *EDITS, PROXY)


def method_alone(spec: ModelSpec) -> str:
    """What ``auto`` means for a tower without another encoder; its authors' own method goes first."""
    if spec.dense:
        return spec.dense
    return ALONE if ALONE in methods_of(spec) else STOCK


def require_method(spec: ModelSpec, method: str) -> None:
    """Raises ModelError, naming what is possible, unless the tower can do it."""
    possible = methods_of(spec)
    if method not in possible:
        raise ModelError(
            f"'{spec.name}' cannot make dense features by '{method}'; "
            f"dense can be {', '.join((AUTO, *possible))}"
        )


def dense_method(wish: str, model: str, language_model: str) -> str:
    """The method for an image encoder and a language model.

    Args:
        wish: a method, or "auto" for the best that the two models have.
        model: id of the image encoder.
        language_model: id of the language model, or "none".

    Raises:
        ModelError: the method is unknown, or these models do not have it.
    """
    if wish not in (AUTO, *METHODS):
        raise ModelError(f"dense '{wish}' is not known; use {AUTO}, {', '.join(METHODS)}")
    if language_model == "none":
        return _the_only_one(wish, STOCK, "without a language model there are no dense language features")
    spec = model_spec(language_model)
    if spec.family == "lit":
        return _the_only_one(wish, LIT, f"'{spec.name}' has words aligned to DINOv2's patches already")
    beside = model_spec(model)
    if wish == AUTO:
        proxied = not spec.dense and beside.family in PROXIES and PROXY in methods_of(spec)
        return PROXY if proxied else method_alone(spec)
    require_method(spec, wish)
    if wish == PROXY and not beside.spatial:
        raise ModelError(
            f"dense '{PROXY}' needs an encoder of images alone beside '{spec.name}'; "
            f"as model choose one of dinov2-*, or use dense {ALONE}"
        )
    return wish


def _the_only_one(wish: str, method: str, why: str) -> str:
    if wish not in (AUTO, method):
        possible = AUTO if method == STOCK else f"{AUTO} or {method}"
        raise ModelError(
            f"dense '{wish}': {why}; use {possible}, or one of clip-*, siglip* as language_model"
        )
    return method
