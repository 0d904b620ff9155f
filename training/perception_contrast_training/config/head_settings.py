"""What the recipes of the household heads have in common: their optimisation, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from perception_contrast.core.errors import RecipeError
from perception_contrast.engines.cpu_features import has_bfloat16
from perception_contrast_training.config.run_settings import Optimisation, Precision

IMAGE_TOWER, TEXT_TOWER = "dinov2-s14", "minilm-l6"
BETAS = (0.9, 0.98)
FINAL_RATE = 0.01  # of the learning rate, at the end of the cosine


@dataclass(frozen=True)
class HeadOptimisation:
    """How a head is fitted: AdamW with linear warm-up and a cosine to a hundredth of the learning rate.

    Attributes:
        average: Momentum of the averaged weights, which are what is kept.
        text_noise: Standard deviation of the noise added to sentence vectors.
        precision: Of matrix products, "bfloat16" or "float32"; float32 on a CPU without bfloat16 products.
        threads: Of PyTorch, 0 for its own choice.
    """

    steps: int = 6000
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.03
    warm_up: int = 200
    clip: float = 1.0
    average: float = 0.998
    text_noise: float = 0.02
    precision: str = "bfloat16"
    threads: int = 0

    def for_trainer(self, batch: int) -> Optimisation:
        """The same for the common trainer, with ``batch`` samples a step."""
        return Optimisation(
            steps=self.steps,
            batch=batch,
            optimiser="adamw",
            learning_rate=self.learning_rate,
            scaling="fixed",
            final_rate=FINAL_RATE,
            warm_up=self.warm_up,
            weight_decay=self.weight_decay,
            final_decay=self.weight_decay,
            betas=BETAS,
            clip=self.clip,
            average=self.average,
            precision=cast(Precision, self.precision if has_bfloat16() else "float32"),
            device="cpu",
            threads=self.threads,
        )


def require_towers(recipe: Any) -> None:
    """Raises RecipeError unless image_tower and text_tower are those that heads can be fitted to."""
    for key, only in (("image_tower", IMAGE_TOWER), ("text_tower", TEXT_TOWER)):
        if getattr(recipe, key) != only:
            raise RecipeError(
                f"{key} '{getattr(recipe, key)}' cannot be aligned; this version takes '{only}'"
            )


def require_at_least_one(recipe: Any, keys: Sequence[str]) -> None:
    """Raises RecipeError for a value, "section.name", below 1."""
    for key in keys:
        section, name = key.split(".")
        if getattr(getattr(recipe, section), name) < 1:
            raise RecipeError(f"'{key}' must be at least 1")


def require_optimisation(settings: HeadOptimisation) -> None:
    """Raises RecipeError for a precision or an average that cannot be."""
    if settings.precision not in ("bfloat16", "float32"):
        raise RecipeError(f"optimisation.precision '{settings.precision}' is neither bfloat16 nor float32")
    require_share("optimisation.average", settings.average)


def require_share(key: str, value: float) -> None:
    """Raises RecipeError for a share that is not in [0, 1)."""
    if not 0.0 <= value < 1.0:
        raise RecipeError(f"{key} {value} is not in [0, 1)")
