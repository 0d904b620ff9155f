"""Of which sizes the batches are that enlarged views are encoded in.

An engine with static shapes builds each size of a batch anew, so that few sizes may come up, and none that
depends on the frame. On a processor a view costs the same in any batch: a padded one would be paid for like
any other. On a GPU a padded one costs next to nothing, and each pass its launches.
"""

from __future__ import annotations

UNPADDED = (8, 4, 2, 1)  # of which each number is a sum
PADDED = (32, 8)


def batch_sizes(views: int, device: str) -> list[int]:
    """Sizes of batches that hold a number of views, in turn; the last one may have room for more.

    Args:
        views: how many.
        device: "cpu" or "cuda:N".
    """
    on_gpu = device.startswith("cuda")
    sizes = []
    for size in PADDED if on_gpu else UNPADDED:
        sizes += [size] * (views // size)
        views %= size
    return [*sizes, PADDED[-1]] if views else sizes
