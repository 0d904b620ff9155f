"""How a device works best: layout of weights, compiled networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from perception_contrast_training.config.run_settings import Optimisation
from perception_contrast_training.networks.backbones import Backbone


def placed(method: object, settings: Optimisation, device: torch.device) -> nn.Module:
    """The method on a device, with channels last where the settings or the device ask for it."""
    assert isinstance(method, nn.Module)
    module = method.to(device)
    tensor_cores = device.type == "cuda" and settings.precision != "float32"
    if settings.channels_last == "always" or (settings.channels_last == "auto" and tensor_cores):
        # Of weights alone: a convolution follows them, whatever the layout of its images.
        module = module.to(memory_format=torch.channels_last)
    return module


def lay_out_as_weights(optimiser: torch.optim.Optimizer) -> None:
    """Moments from a checkpoint get the layout of their weights, as fused kernels want them."""
    for parameter, slots in optimiser.state.items():
        for name, value in slots.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.dim() == 4:
                slots[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def compile_backbones(module: nn.Module, mode: str, backend: str = "inductor") -> None:
    """Compiles the forward pass of each backbone in place; names of weights stay.

    Args:
        module: The method.
        mode: "never", or one of ``torch.compile``.
        backend: Of ``torch.compile``.
    """
    if mode == "never":
        return
    import torch._inductor.config as inductor

    # Dropped paths by PyTorch's own random numbers, as without: gradient caching draws the same ones twice.
    inductor.fallback_random = True
    for part in module.modules():
        if isinstance(part, Backbone):
            options = {"mode": mode} if backend == "inductor" else {}
            part.compile(backend=backend, **options)
