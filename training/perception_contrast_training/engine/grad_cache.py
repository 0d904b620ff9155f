"""Gradient caching: batches larger than memory for losses that compare vectors of the whole batch.

After Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup" (2021).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.engine.gather import gathered
from perception_contrast_training.methods.base import Batch, Contrastive, Losses


def _itself(x: Tensor) -> Tensor:
    return x


def cached_backward(
    method: Contrastive,
    parts: Sequence[Batch],
    *,
    scaled: Callable[[Tensor], Tensor] = _itself,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Losses:
    """Leaves the gradients of the loss of all ``parts`` together, on all processes, with the parameters.

    They are those of one batch, also of what ``compare`` itself learns (temperature, bias) and with dropout:
    each part is seen twice with the same chance. Memory holds the networks' inner values of one part and the
    vectors of all. parts: asked for by number twice each; a sequence that makes them when asked holds one
    at a time. scaled: what a gradient scaler makes of the loss. autocast: around the networks.

    Raises RecipeError for a method whose networks mix images of a batch by batch norm: parts would give
    other vectors than the whole.
    """
    require_no_batch_norm(method)
    chance: _Chance | None = None
    seen: dict[str, _Rows] = {}
    with torch.no_grad():
        for number in range(len(parts)):
            part = parts[number]
            chance = chance or _Chance(_device(part), len(parts))
            chance.note(number)
            with autocast():
                for name, vectors in method.embed(part).items():
                    seen.setdefault(name, _Rows(vectors, len(parts))).add(vectors)
    whole = {name: rows.all().requires_grad_() for name, rows in seen.items()}
    losses = method.compare({name: gathered(x) for name, x in whole.items()})
    # Gradients of vectors, and of all that compare itself learns.
    scaled(losses.total).backward()  # type: ignore[no-untyped-call]
    slopes = {name: torch.split(x.grad, seen[name].sizes) for name, x in whole.items() if x.grad is not None}
    losses = Losses(losses.total.detach(), losses.parts, losses.watched)
    # From here on only gradients are needed, and what is watched.
    whole.clear()
    seen.clear()
    for number in range(len(parts) if chance is not None else 0):
        assert chance is not None
        with chance.again(number), autocast():
            again = method.embed(parts[number])
        terms = [(again[name] * slope[number].to(again[name].dtype)).sum() for name, slope in slopes.items()]
        learning = [term for term in terms if term.requires_grad]
        if learning:
            torch.stack(learning).sum().backward()  # type: ignore[no-untyped-call]
    return losses


def require_no_batch_norm(method: Contrastive) -> None:
    """Raises RecipeError if a network that is in training normalises over the batch."""
    assert isinstance(method, nn.Module)
    for name, module in method.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training:
            raise RecipeError(
                f"gradient caching sees a batch in parts, and '{name}' normalises over the batch; choose a "
                "backbone without batch norm (a ViT or ConvNeXt) and batch_norm: false in the method"
            )


class _Rows:
    """Vectors of parts, side by side in memory that is taken once.

    Kept as they come they would lie between what the networks free, where nothing large fits any more.
    """

    def __init__(self, first: Tensor, parts: int) -> None:
        self._held = first.new_empty((len(first) * parts, *first.shape[1:]))
        self.sizes: list[int] = []

    def add(self, vectors: Tensor) -> None:
        start = sum(self.sizes)
        stop = start + len(vectors)
        if stop > len(self._held):
            more = self._held.new_empty((stop - len(self._held), *self._held.shape[1:]))
            self._held = torch.cat([self._held, more])
        self._held[start:stop] = vectors
        self.sizes.append(len(vectors))

    def all(self) -> Tensor:
        return self._held[: sum(self.sizes)].detach()


class _Chance:
    """The states of chance before each part, on the CPU and on the device; memory as of ``_Rows``."""

    def __init__(self, device: torch.device, parts: int) -> None:
        self._device, self._cuda = device, device.type == "cuda"
        self._held = [torch.empty(parts, len(state), dtype=torch.uint8) for state in self._now()]

    def note(self, part: int) -> None:
        for held, state in zip(self._held, self._now(), strict=True):
            held[part] = state

    @contextmanager
    def again(self, part: int) -> Iterator[None]:
        """The same draws once more; what is drawn afterwards is as if there had been none."""
        with torch.random.fork_rng([self._device] if self._cuda else []):
            torch.set_rng_state(self._held[0][part].clone())
            if self._cuda:
                torch.cuda.set_rng_state(self._held[1][part].clone(), self._device)
            yield

    def _now(self) -> list[Tensor]:
        return [torch.get_rng_state(), *([torch.cuda.get_rng_state(self._device)] if self._cuda else [])]


def _device(batch: Mapping[str, object]) -> torch.device:
    for value in batch.values():
        if isinstance(value, Tensor):
            return value.device
    return torch.device("cpu")
