"""How the authors of each method moved its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PaperDefaults:
    """The optimiser and its schedules as a method's authors published them.

    Attributes:
        optimiser: "adamw" or "lars".
        learning_rate: The highest one, for batches of ``reference_batch`` images.
        weight_decay: At the start.
        final_decay: Weight decay at the end.
        reference_batch: Images of a step that ``learning_rate`` is for.
        scaling: How the rate changes with the batch: "fixed", "linear" or by its "root".
        warm_up_epochs: Epochs of ImageNet in which the rate rises.
        warm_up_steps: The same in steps; it takes the place of the epochs if it is not 0.
        final_rate: Rate at the end of the cosine, as a share of the highest one.
        betas: Of AdamW.
        clip: Largest norm of the gradient; 0 for any.
        clip_each: Whether ``clip`` holds for each parameter by itself.
        epochs: Passes over ImageNet that the authors made.
        batch: Images of a step that the authors took.
    """

    optimiser: Literal["adamw", "lars"]
    learning_rate: float
    weight_decay: float
    final_decay: float
    reference_batch: int = 256
    scaling: Literal["fixed", "linear", "root"] = "linear"
    warm_up_epochs: float = 10.0
    warm_up_steps: int = 0
    final_rate: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 0.0
    clip_each: bool = False
    epochs: int = 100
    batch: int = 4096


# Chen, Xie & He, "An Empirical Study of Training Self-Supervised Vision Transformers" (MoCo v3, 2021), train
# SimCLR and BYOL on ViTs so. LARS leaves tokens, positions, biases and norms unscaled, which then move by
# plain SGD at LARS's rate: in a ResNet batch norm absorbs that, in a ViT all features become one.
MOCO_V3 = PaperDefaults("adamw", 1.5e-4, 0.1, 0.1, warm_up_epochs=40.0, epochs=300)

VIT_DEFAULTS: dict[str, PaperDefaults] = {"simclr": MOCO_V3, "byol": MOCO_V3}
"""What takes the place of ``PAPER_DEFAULTS`` where the authors' own choice is for ResNets alone."""

PAPER_DEFAULTS: dict[str, PaperDefaults] = {
    "simclr": PaperDefaults("lars", 0.3, 1e-6, 1e-6, epochs=1000),
    "byol": PaperDefaults("lars", 0.2, 1.5e-6, 1.5e-6, epochs=1000),
    "dino": PaperDefaults(
        "adamw", 5e-4, 0.04, 0.4, final_rate=2e-3, clip=3.0, clip_each=True, epochs=100, batch=1024
    ),
    "dinov2": PaperDefaults(
        "adamw", 4e-3, 0.04, 0.4, 1024, "root", final_rate=2.5e-4, clip=3.0, epochs=100, batch=2048
    ),
    "mae": PaperDefaults("adamw", 1.5e-4, 0.05, 0.05, warm_up_epochs=40.0, betas=(0.9, 0.95), epochs=800),
    "clip": PaperDefaults(
        "adamw", 5e-4, 0.2, 0.2, 32768, "fixed", 0.0, 2000, betas=(0.9, 0.98), epochs=32, batch=32768
    ),
    "siglip": PaperDefaults(
        "adamw",
        1e-3,
        1e-4,
        1e-4,
        32768,
        "fixed",
        0.0,
        20000,
        betas=(0.9, 0.95),
        clip=1.0,
        epochs=1,
        batch=32768,
    ),
    "lit": PaperDefaults(
        "adamw",
        1e-3,
        1e-4,
        1e-4,
        16384,
        "fixed",
        0.0,
        10000,
        betas=(0.9, 0.999),
        clip=1.0,
        epochs=1,
        batch=16384,
    ),
    # AM-RADIO and PHI-S train with AdamW and a cosine for a fixed number of steps.
    "distill": PaperDefaults(
        "adamw",
        1e-3,
        0.02,
        0.02,
        1024,
        "root",
        warm_up_epochs=0.0,
        warm_up_steps=500,
        clip=1.0,
        epochs=300,
        batch=1024,
    ),
}
