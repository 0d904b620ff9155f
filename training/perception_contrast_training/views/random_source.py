"""What is left to chance, from one generator."""

from __future__ import annotations

import torch


class RandomSource:
    """Numbers drawn from ``generator`` alone, so that views of an image repeat."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), generator=self.generator, dtype=torch.float64).item()

    def happens(self, probability: float) -> bool:
        """Draws even where the answer is settled, so that one setting moves no other draw."""
        return self.uniform(0.0, 1.0) < probability

    def integer(self, count: int) -> int:
        """0 to ``count`` - 1."""
        return int(torch.randint(count, (), generator=self.generator).item())

    def order(self, count: int) -> list[int]:
        found: list[int] = torch.randperm(count, generator=self.generator).tolist()
        return found
