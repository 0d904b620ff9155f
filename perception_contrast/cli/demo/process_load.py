"""How many cores processes have kept busy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ProcessLoad:
    """Cores that a process kept busy on average, from its first reading to its last.

    Attributes:
        began, first: steady clock and processor seconds of the first reading.
        cores: mean number of cores; 0 before a second reading.
    """

    began: float
    first: float
    cores: float = 0.0

    def read(self, now: float, seconds: float) -> None:
        """now: seconds of the steady clock. seconds: as of ``processor_seconds``."""
        if now > self.began:
            self.cores = (seconds - self.first) / (now - self.began)
