"""One process of several: trains a method on its share of a batch and saves values and gradients.

Run as ``python methods_process.py NAME RANK COUNT STORE OUT`` with an address of a TCP store.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from example_methods import NAMES as EXAMPLES
from example_methods import method_module
from small_methods import FIRST, PATCHES, SIZE, images, small_vit, some_positions
from torch import nn

from perception_contrast_training.config.run_settings import Optimisation
from perception_contrast_training.engine import gather
from perception_contrast_training.engine.checkpoint import StoredSnapshot, read_snapshot, write_snapshot
from perception_contrast_training.engine.distributed import Processes, all_lines
from perception_contrast_training.engine.grad_cache import cached_backward
from perception_contrast_training.engine.negative_mask import FRAME_POSITIONS
from perception_contrast_training.engine.resume import restore
from perception_contrast_training.engine.trainer import Trainer, split
from perception_contrast_training.methods.byol import Byol, ByolSettings
from perception_contrast_training.methods.clip import Clip, ClipSettings
from perception_contrast_training.methods.dino import Dino, DinoSettings
from perception_contrast_training.methods.dinov2 import Dinov2, Dinov2Settings
from perception_contrast_training.methods.pairs import Pair
from perception_contrast_training.methods.siglip import Siglip, SiglipSettings
from perception_contrast_training.methods.simclr import Simclr, SimclrSettings
from perception_contrast_training.networks.backbones import BackboneSettings, make_backbone
from perception_contrast_training.networks.text import TextSettings, make_text

ROWS = 8
HEAD = {"prototypes": 16, "hidden": 16, "bottleneck": 8, "warm_up_epochs": 10}
TEXT = TextSettings(width=16, depth=1, heads=2, context=8)
NAMES = (
    "simclr",
    "simclr-cached",
    "simclr-resnet",
    "byol",
    "dino",
    "dinov2",
    "dinov2-centred",
    "clip",
    "siglip",
    "simclr-near",
    "simclr-near-cached",
    "clip-near",
    "siglip-near",
    *EXAMPLES,
    "vicreg-cached",
    "swav-cached",
)


def method_of(name: str) -> Any:
    kind = name.split("-")[0]
    if name == "simclr-resnet":
        torch.manual_seed(0)
        net = make_backbone(BackboneSettings("resnet10t", size=SIZE))
        return Simclr(net, SimclrSettings(dim=8)).double()
    vit = small_vit()
    if kind in EXAMPLES:
        return example(kind, vit, batch_norm="cached" not in name)
    if kind == "simclr":
        return Simclr(vit, SimclrSettings(dim=8, batch_norm="cached" not in name, table=100)).double()
    if kind == "byol":
        return Byol(vit, ByolSettings(hidden=16, dim=8)).double()
    if kind == "dino":
        return Dino(vit, DinoSettings(**HEAD)).double()
    if kind == "dinov2":
        return Dinov2(vit, Dinov2Settings(**HEAD, sinkhorn=0 if "centred" in name else 3)).double()
    pair = Pair(vit, make_text(TEXT, 8), 8)
    if kind == "clip":
        return Clip(pair, ClipSettings(dim=8, table=30)).double()
    return Siglip(pair, SiglipSettings(dim=8, table=30)).double()


def example(kind: str, vit: Any, **more: Any) -> Any:
    """A method of examples/methods in float64; SwAV with a queue that counts."""
    found = method_module(kind).KIND
    few = {"prototypes": 6, "queue": 10, "frozen_epochs": 0.0} if kind == "swav" else {}
    made = found.make(vit, found.settings(hidden=16, dim=8, **few, **more)).double()
    if kind == "swav":
        made.queue.copy_(torch.nn.functional.normalize(images(2, 10, 8, seed=5), dim=-1))
        made.queue_counts.fill_(1.0)
    return made


def batch_of(name: str, rows: slice) -> dict[str, Any]:
    """``near``: frames of which a part are no negatives, also across processes."""
    near = {FRAME_POSITIONS: some_positions(ROWS)[:, rows]} if "near" in name else {}
    return _batch_of(name, rows) | near


def _batch_of(name: str, rows: slice) -> dict[str, Any]:
    kind = name.split("-")[0]
    if kind in ("simclr", "byol", "vicreg", "barlow_twins"):
        return {"views": images(2, ROWS, 3, SIZE, SIZE)[:, rows]}
    if kind in ("clip", "siglip"):
        captions = [f"thing number {number}" for number in range(ROWS)]
        return {"image": images(ROWS, 3, SIZE, SIZE)[rows], "text": captions[rows]}
    found = {
        "globals": images(2, ROWS, 3, SIZE, SIZE)[:, rows],
        "locals": images(2, ROWS, 3, 8, 8, seed=2)[:, rows],
    }
    if kind == "dinov2":
        masks = torch.rand(2, ROWS, PATCHES, generator=torch.Generator().manual_seed(3)) < 0.4
        # One process has no hidden patch at all, and still takes part in what all do together.
        masks[:, ROWS // 2 :] = False
        found["masks"] = masks[:, rows]
    return found


def trained(name: str) -> dict[str, Any]:
    """loss, gradients and the state after a step, as all processes together have them."""
    method = method_of(name).train()
    batch = batch_of(name, slice(*gather.own_rows(ROWS)))
    if name.endswith("cached"):
        losses = cached_backward(method, list(split(batch, next(iter(batch.values())).shape[1] // 2)))
    else:
        losses = method.loss(batch, FIRST)
        losses.total.backward()
    for parameter in method.parameters():
        if parameter.grad is not None:
            parameter.grad = gather.averaged(parameter.grad)
    gradients = {n: p.grad for n, p in method.named_parameters() if p.grad is not None}
    method.before_step(FIRST)
    torch.optim.SGD([p for group in method.groups() for p in group.parameters], lr=0.1).step()
    method.after_step(FIRST)
    assert isinstance(method, nn.Module)
    return {"loss": gather.averaged(losses.total), "gradients": gradients, "state": method.state_dict()}


STEPPED = {"simclr-resnet": 0, "dino": 2, "dinov2": 0, "simclr-cached": 2}
"""Methods that a trainer steps, with the images of a process's micro-batch: of two processes."""


def stepped(name: str, overlap: Any = "auto") -> dict[str, Any]:
    """The state after three steps of a trainer, and the mean loss of each."""
    count = gather.processes()
    processes = Processes(dist.get_rank() if count > 1 else 0, count)
    micro_batch = STEPPED[name] * 2 // count
    settings = Optimisation(
        steps=3, batch=ROWS, micro_batch=micro_batch, optimiser="sgd", learning_rate=0.05, scaling="fixed",
        warm_up=1, clip=1.0, overlap=overlap,
    )  # fmt: skip
    trainer = Trainer(method_of(name), settings, epoch_steps=2, processes=processes)
    batch = batch_of(name, slice(*gather.own_rows(ROWS)))
    during = trainer._overlapped is not None and not name.endswith("cached")
    losses = [trainer.step(batch).figures["loss"] for _ in range(3)]
    return {
        "loss": torch.tensor(losses, dtype=torch.float64),
        "state": trainer.module.state_dict(),
        "during": during,
    }


def in_shards(folder: Path, name: str = "dino") -> dict[str, Any]:
    """As ``stepped`` with the ViTs in shards, and what a run becomes that goes on after two steps."""
    processes = Processes(dist.get_rank(), dist.get_world_size())
    settings = Optimisation(
        steps=3, batch=ROWS, learning_rate=0.01, scaling="fixed", warm_up=1, clip=1.0, average=0.5,
        shard="always",
    )  # fmt: skip

    def fresh() -> Trainer:
        return Trainer(method_of(name), settings, epoch_steps=2, processes=processes)

    trainer, path = fresh(), folder / "sharded.safetensors"
    batch = batch_of(name, slice(*gather.own_rows(ROWS)))
    losses = [trainer.step(batch).figures["loss"] for _ in range(2)]
    snapshot = trainer.snapshot()
    if processes.first:
        write_snapshot(path, snapshot)
    dist.barrier()
    losses.append(trainer.step(batch).figures["loss"])
    again = fresh()
    restore(again, StoredSnapshot(path, read_snapshot(path)))
    again.step(batch)
    weights = next(p for n, p in trainer.module.named_parameters() if n.endswith("blocks.0.attn.qkv.weight"))
    local: Any = weights
    return {
        "loss": torch.tensor(losses, dtype=torch.float64),
        "state": dict(trainer.snapshot().method),
        "average": dict(trainer.snapshot().average),
        "resumed": dict(again.snapshot().method),
        "own share": local.to_local().numel() / weights.numel(),
    }


def main() -> None:
    name, rank, count, store, out = sys.argv[1:]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=store, rank=int(rank), world_size=int(count))
    met = ["b.png: damaged", "c.png: damaged"] if rank == "1" else ["\udce4.png: damaged", "b.png: damaged"]
    lines = all_lines(met, Processes(int(rank), int(count)))
    text = "\n".join([*lines, *all_lines(met[:0], Processes(int(rank), int(count)))])
    (Path(out) / f"lines.{rank}").write_bytes(text.encode("utf-8", "surrogateescape"))
    for one in name.split(","):
        torch.save(trained(one), Path(out) / f"{one}.{rank}.pt")
    for one in STEPPED:
        for overlap in ("auto", "never"):
            found = stepped(one, overlap)
            torch.save(found, Path(out) / f"stepped-{one}-{overlap}.{rank}.pt")
    torch.save(in_shards(Path(out)), Path(out) / f"shards.{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
