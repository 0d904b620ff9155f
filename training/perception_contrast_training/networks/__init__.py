"""Networks that are trained: backbones of timm, what stands on them, and their slowly moving twins."""
