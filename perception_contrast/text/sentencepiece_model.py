"""SentencePiece model files (``tokenizer.model``) of byte-pair encodings, without the sentencepiece library.

Such a file is a ModelProto of protocol buffers (Kudo and Richardson, "SentencePiece", EMNLP 2018). Only the
pieces and the normaliser's table of characters are read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception_contrast.core.errors import ModelError

# Kinds of a piece, as the format numbers them.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED = 1, 2, 3, 4
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
SPACE = "\u2581"
_LONGEST = 512  # characters of a piece, sentencepiece's own limit


@dataclass(frozen=True)
class Piece:
    """text of a token, its score (the higher, the earlier it is merged) and its kind."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True)
class SentencePieceModel:
    """pieces: by token id. characters: the compiled table by which texts are normalised, empty for none."""

    pieces: tuple[Piece, ...]
    characters: bytes


def read_sentencepiece_model(path: Path) -> SentencePieceModel:
    """Raises ModelError for a file that is no SentencePiece model."""
    try:
        data = path.read_bytes()
        pieces, characters = [], b""
        for number, value in _fields(data):
            if number == 1:
                pieces.append(_piece(value))
            elif number == 3:
                characters = next((bytes(inner) for key, inner in _fields(value) if key == 2), b"")
    except OSError as error:
        raise ModelError(f"tokenizer {path} cannot be read ({error}); fetch it again") from error
    except (ValueError, IndexError, TypeError, struct.error) as error:
        raise ModelError(
            f"tokenizer {path} is no SentencePiece model; replace it with the model's"
        ) from error
    if not pieces or max(len(piece.text) for piece in pieces) > _LONGEST:
        raise ModelError(
            f"tokenizer {path} has no pieces, or one of more than {_LONGEST} characters; "
            "replace it with the model's own"
        )
    return SentencePieceModel(tuple(pieces), characters)


def bpe_tokenizer(path: Path, *, lower_case: bool) -> Any:
    """A ``tokenizers.Tokenizer`` that splits texts as the file does; adds no special tokens.

    Raises ModelError for a file that is no SentencePiece model.
    """
    from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    model = read_sentencepiece_model(path)
    vocabulary = {piece.text: number for number, piece in enumerate(model.pieces)}
    unknown = next((piece.text for piece in model.pieces if piece.kind == UNKNOWN), None)
    try:
        tokenizer: Any = Tokenizer(
            BPE(vocabulary, _merges(model), unk_token=unknown, fuse_unk=True, byte_fallback=True)
        )
        steps: list[Any] = [normalizers.Lowercase()] if lower_case else []
        if model.characters:
            steps.append(normalizers.Precompiled(model.characters))
        tokenizer.normalizer = normalizers.Sequence(steps)
    except Exception as error:  # the tokenizers library raises bare Exception
        raise ModelError(f"tokenizer {path} is no byte-pair encoding ({error}); replace it") from error
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always"),
        ]
    )
    tokenizer.add_tokens(
        [AddedToken(piece.text, normalized=False) for piece in model.pieces if piece.kind == USER_DEFINED]
    )
    return tokenizer


def _merges(model: SentencePieceModel) -> list[tuple[str, str]]:
    """Pairs of pieces that make a third one, in the order in which the encoding merges them."""
    known = {piece.text: number for number, piece in enumerate(model.pieces)}
    found: list[tuple[float, int, int, int, tuple[str, str]]] = []
    for number, piece in enumerate(model.pieces):
        if piece.kind != NORMAL:
            continue
        for at in range(1, len(piece.text)):
            left, right = piece.text[:at], piece.text[at:]
            if left in known and right in known:
                found.append((-piece.score, number, known[left], known[right], (left, right)))
    return [pair for *_, pair in sorted(found)]


def _piece(data: bytes) -> Piece:
    text, score, kind = "", 0.0, NORMAL
    for number, value in _fields(data):
        if number == 1:
            text = bytes(value).decode("utf-8")
        elif number == 2:
            score = float(struct.unpack("<f", value)[0])
        elif number == 3:
            kind = int(value)
    return Piece(text, score, kind)


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of each field of a message: an int for a varint, bytes for all else."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire}")
        if at + length > len(data):
            raise ValueError("the message is cut off")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and the place behind it."""
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number is too long")
