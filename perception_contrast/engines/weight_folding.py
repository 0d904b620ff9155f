"""Weight folding: a layer scale becomes part of the linear layer before it, which saves memory traffic."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from perception_contrast.encoders.encoder_graph import EncoderGraph


def fold_layer_scale(graph: EncoderGraph) -> EncoderGraph:
    """A copy with the same results whose layer scales (Touvron et al., CaiT, 2021) are part of the weights.

    In a block that scales the outputs of its attention and its MLP this saves two passes over all tokens.
    """
    made = copy.deepcopy(graph)
    for block in made.modules():
        for scale_name, branch_name, last_name in (("ls1", "attn", "proj"), ("ls2", "mlp", "fc2")):
            gamma = getattr(getattr(block, scale_name, None), "gamma", None)
            last = getattr(getattr(block, branch_name, None), last_name, None)
            if isinstance(gamma, Tensor) and isinstance(last, nn.Linear):
                last.weight.data = last.weight.data * gamma.data[:, None]
                if last.bias is not None:
                    last.bias.data = last.bias.data * gamma.data
                setattr(block, scale_name, nn.Identity())
    return made
