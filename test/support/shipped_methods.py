"""The recipes of the learning methods that come along, and changes that make their runs small."""

from __future__ import annotations

from perception_contrast_training.config.shipped_recipes import shipped

OWN = {name: path for name, (path, _) in shipped().items() if not name.startswith("household")}
SMALL = [
    "backbone.name=vit_tiny_patch16_224", "backbone.size=32", "backbone.patch=8", "backbone.width=48",
    "backbone.depth=2", "backbone.heads=3", "backbone.registers=0", "optimisation.steps=3",
    "optimisation.batch=8", "data.workers=0", "data.held_out=0.25", "measure.every=3", "tensorboard=false",
    "monitors.alarms=none",
]  # fmt: skip
OPTIONS = {
    "byol": ["options.hidden=32", "options.dim=16"],
    "dino": ["options.hidden=32", "options.bottleneck=16"],
    "dinov2": ["options.hidden=32", "options.bottleneck=16"],
    "mae": ["options.width=32", "options.depth=1", "options.heads=2"],
    "clip": ["options.dim=16", "options.text={width: 16, depth: 1, heads: 2}"],
    "siglip": ["options.dim=16", "options.text={width: 16, depth: 1, heads: 2}"],
    "distill": ["options.statistics=8", "options.cache.gigabytes=0", "backbone.stride=0"],
    "lit": ["options.text={width: 16, depth: 1, heads: 2}", "backbone.pretrained=false"],
}
