"""Files of heads: weights as safetensors, with the card in the file's own table of facts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from perception_contrast.core.errors import ModelError
from perception_contrast.core.file_writing import writing
from perception_contrast.heads.head_card import HeadCard
from perception_contrast.heads.head_networks import network_of

HEAD_FILE = "head.safetensors"  # in the folder of a run
FORMAT, VERSION = "perception_contrast head", "1"
MAKE_ANEW = "make it anew with `perception-contrast train head`"


@dataclass(frozen=True)
class Head:
    """A head that was read. name: of its file, for people."""

    name: str
    card: HeadCard
    network: nn.Module


def head_path(path: Path) -> Path:
    """The file of a head that is named by its file or by the folder of its run.

    Raises:
        ModelError: Neither is there.
    """
    found = path.expanduser()
    if found.is_dir():
        found = found / HEAD_FILE
    if not found.is_file():
        raise ModelError(
            f"there is no head '{found}'; name a {HEAD_FILE} of `perception-contrast train head`, or its run"
        )
    return found


def write_head(path: Path, card: HeadCard, network: nn.Module) -> None:
    """Writes a head; readers see the old file or the whole new one. Raises StorageError."""
    from safetensors.torch import save_file

    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    with writing(path) as part:
        save_file(tensors, str(part), {"format": FORMAT, "version": VERSION, "card": card.dumped()})


def read_card(path: Path) -> HeadCard:
    """The card alone, without the weights. Raises ModelError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as stored:
            facts = dict(stored.metadata() or {})
        if facts.get("format") != FORMAT:
            raise ValueError(f"it is a {facts.get('format', 'file of other weights')}, no head")
        if facts.get("version") != VERSION:
            raise ValueError(f"its version is {facts.get('version')}, and {VERSION} is understood")
        return HeadCard.loaded(facts["card"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"head '{path}' cannot be read ({_reason(error)}); {MAKE_ANEW}") from error


def read_head(path: Path, name: str = "") -> Head:
    """A head with its weights, on the CPU.

    Args:
        path: Of the file.
        name: For people; "" for that of the file's folder.

    Raises:
        ModelError: The file is damaged, or no head.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    card = read_card(path)
    try:
        # Without memory of its own: a card may claim any size, the tensors are what they are.
        with torch.device("meta"):
            network = network_of(card)
        network.load_state_dict(load_file(str(path)), assign=True)
    except (SafetensorError, OSError, RuntimeError, MemoryError) as error:
        raise ModelError(f"head '{path}' cannot be read ({_reason(error)}); {MAKE_ANEW}") from error
    return Head(name or path.parent.name, card, network.eval().requires_grad_(False))


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
