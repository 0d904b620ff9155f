"""Targets that do wrong on purpose, for tests of the fuzzer."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from random import Random

from fuzzing.target import Mutation, Target


def _as_it_is(rng: Random, data: bytes) -> bytes:
    return data


class Refuses(Target):
    """Documents ValueError; raises KeyError where the input holds "BOOM"."""

    allowed = (ValueError,)

    def seeds(self) -> list[bytes]:
        return [b"sound", b"some words, BOOM, and more words", b"refused"]

    def run(self, data: bytes) -> None:
        if b"BOOM" in data:
            raise KeyError("a key that nobody looked for")
        if b"sound" not in data:
            raise ValueError("not sound")


class Crashes(Target):
    """Reads address 0 where the input begins with "crash", and hangs where it begins with "hang"."""

    def seeds(self) -> list[bytes]:
        return [b"sound"]

    def run(self, data: bytes) -> None:
        if data.startswith(b"crash"):
            ctypes.string_at(0)
        while data.startswith(b"hang"):
            pass


class Leaks(Target):
    """Keeps a megabyte of every input."""

    def seeds(self) -> list[bytes]:
        self._kept: list[bytearray] = []
        return [b"sound"]

    @property
    def mutations(self) -> Sequence[Mutation]:
        return (_as_it_is,)

    def run(self, data: bytes) -> None:
        self._kept.append(bytearray(b"x") * (1 << 20))


class Gorges(Target):
    """Takes 300 MB for an input that begins with "bomb", and lets them go; 64 GB for "more"."""

    def seeds(self) -> list[bytes]:
        return [b"sound"]

    def run(self, data: bytes) -> None:
        if data.startswith(b"bomb"):
            bytearray(b"x") * (300 << 20)
        if data.startswith(b"more"):
            bytearray(64 << 30)
