"""Batch normalisation over the batches of all processes, on any device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from perception_contrast_training.engine.gather import processes, summed


class BatchNorm(nn.SyncBatchNorm):
    """``nn.SyncBatchNorm`` that works on the CPU too, where torch has none; on one process nn.BatchNorm."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, c, ...). Values and gradients are those of one process with all rows."""
        if x.is_cuda or not self.training or processes() == 1:
            return super().forward(x)
        axes = [0, *range(2, x.dim())]
        count = x.numel() / x.shape[1] * processes()
        mean = summed(x.sum(axes)) / count
        shape = (1, -1, *[1] * (x.dim() - 2))
        centred = x - mean.reshape(shape)
        variance = summed((centred**2).sum(axes)) / count
        self._remember(mean, variance * count / (count - 1))
        result = centred * (variance + self.eps).rsqrt().reshape(shape)
        if self.weight is not None:
            result = result * self.weight.reshape(shape) + self.bias.reshape(shape)
        return result

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        if self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
        share = 1.0 / float(self.num_batches_tracked or 1) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


def over_processes(module: nn.Module) -> nn.Module:
    """Turns every nn.BatchNorm of ``module`` into one over all processes; values and names stay."""
    for name, child in module.named_children():
        if type(child) in (nn.BatchNorm1d, nn.BatchNorm2d):
            assert isinstance(child, nn.modules.batchnorm._BatchNorm)
            new = BatchNorm(
                child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats
            )
            new.load_state_dict(child.state_dict())
            setattr(module, name, new)
        else:
            over_processes(child)
    return module
