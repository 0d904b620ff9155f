"""Gradient caching: batches larger than memory for losses that compare vectors of the whole batch.

After Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup" (2021).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from perception_contrast.errors import RecipeError

from .gather import gathered
from .methods.base import Batch, Contrastive, Losses


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

    Raises RecipeError for a method whose networks mix pictures of a batch by batch norm: parts would give
    other vectors than the whole.
    """
    require_no_batch_norm(method)
    chances: list[_Chance] = []
    seen: dict[str, list[Tensor]] = {}
    with torch.no_grad():
        for number in range(len(parts)):
            part = parts[number]
            chances.append(_Chance(_device(part)))
            with autocast():
                for name, vectors in method.embed(part).items():
                    seen.setdefault(name, []).append(vectors)
    whole = {name: torch.cat(vectors).requires_grad_() for name, vectors in seen.items()}
    sizes = {name: [len(x) for x in vectors] for name, vectors in seen.items()}
    seen.clear()
    losses = method.compare({name: gathered(x) for name, x in whole.items()})
    # Gradients of vectors, and of all that compare itself learns.
    scaled(losses.total).backward()  # type: ignore[no-untyped-call]
    slopes = {name: torch.split(x.grad, sizes[name]) for name, x in whole.items() if x.grad is not None}
    for number, chance in enumerate(chances):
        with chance.again(), autocast():
            again = method.embed(parts[number])
        terms = [(again[name] * slope[number].to(again[name].dtype)).sum() for name, slope in slopes.items()]
        learning = [term for term in terms if term.requires_grad]
        if learning:
            torch.stack(learning).sum().backward()  # type: ignore[no-untyped-call]
    return Losses(losses.total.detach(), losses.parts, losses.watched)


def require_no_batch_norm(method: Contrastive) -> None:
    """Raises RecipeError if a network that is in training normalises over the batch."""
    assert isinstance(method, nn.Module)
    for name, module in method.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training:
            raise RecipeError(
                f"gradient caching sees a batch in parts, and '{name}' normalises over the batch; choose a "
                "backbone without batch norm (a ViT or ConvNeXt) and batch_norm: false in the method"
            )


class _Chance:
    """The state of chance as it is now, on the CPU and on the device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cpu = torch.get_rng_state()
        self._gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    @contextmanager
    def again(self) -> Iterator[None]:
        """The same draws once more; what is drawn afterwards is as if there had been none."""
        with torch.random.fork_rng([self._device] if self._gpu is not None else []):
            torch.set_rng_state(self._cpu)
            if self._gpu is not None:
                torch.cuda.set_rng_state(self._gpu, self._device)
            yield


def _device(batch: Mapping[str, object]) -> torch.device:
    for value in batch.values():
        if isinstance(value, Tensor):
            return value.device
    return torch.device("cpu")
