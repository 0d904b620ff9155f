"""`perception-contrast train evaluate`: from names of encoders and a path to tables, figures and plots."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

import torch
from torch import nn

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.datasets.samples import ImageDataset
from perception_contrast_training.data.datasets.subset import evenly
from perception_contrast_training.evaluation.compare import TASKS, CompareSettings, compare
from perception_contrast_training.evaluation.dense_compare import compare_dense, has_masks
from perception_contrast_training.evaluation.encoder_adapters import encoder_adapter
from perception_contrast_training.evaluation.encoding import EncoderAdapter
from perception_contrast_training.evaluation.report import Outcome, markdown, write_images, write_json


def evaluate(arguments: argparse.Namespace) -> Outcome:
    """Prints the tables; writes all into ``--output`` where that is given. Raises PerceptionError."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    adapters = [_adapter_of(name, arguments.offline, device) for name in dict.fromkeys(arguments.encoder)]
    names = [adapter.name for adapter in adapters]
    if len(set(names)) < len(names):
        raise PerceptionError(f"two encoders are called '{names[0]}'; export one under another --name")
    if has_masks(arguments.data):
        outcome = compare_dense(adapters, arguments.data, ignore=arguments.ignore)
    else:
        images = evenly(_images(arguments), arguments.limit)
        asked = CompareSettings(
            tasks=tuple(arguments.task or TASKS),
            held_out=arguments.held_out,
            solver=arguments.solver,
            templates=arguments.templates,
        )
        outcome = compare(adapters, images, asked)
    print(markdown(outcome))
    if arguments.output:
        write_json(arguments.output / "figures.json", outcome.figures)
        atomic_write(arguments.output / "figures.md", (markdown(outcome) + "\n").encode())
        for path in write_images(arguments.output, outcome):
            print(path)
    return outcome


def _images(arguments: argparse.Namespace) -> ImageDataset:
    return open_dataset(
        arguments.data, part=arguments.part or None, classes=arguments.classes, reader=arguments.reader
    )


def _adapter_of(name: str, offline: bool, device: torch.device) -> EncoderAdapter:
    from perception_contrast_training.engine.load_run import load_run
    from perception_contrast_training.engine.resume import RECIPE
    from perception_contrast_training.evaluation.held_out_figures import backbone_adapter, pair_adapter

    if (Path(name) / RECIPE).is_file():
        trained = load_run(Path(name))
        cast(nn.Module, trained.method).eval().requires_grad_(False).to(device)
        called = f"{trained.recipe.name} at {trained.step}"
        if trained.pair is not None:
            return pair_adapter(trained.pair, device, called)
        return backbone_adapter(trained.backbone, device, called)
    return encoder_adapter(name, offline=offline, device=device)
