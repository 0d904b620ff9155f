"""Mutations of a .db3 file by its rows, tables and pages."""

from __future__ import annotations

from random import Random

import apsw

from fuzzing.mutations import NUMBERS, TEXTS, mutated

_COLUMNS = (
    ("topics", "id"), ("topics", "name"), ("topics", "type"), ("topics", "serialization_format"),
    ("topics", "offered_qos_profiles"), ("messages", "id"), ("messages", "topic_id"),
    ("messages", "timestamp"),
    ("messages", "data"),
)  # fmt: skip
_STATEMENTS = (
    "DROP TABLE topics", "DROP TABLE messages", "DELETE FROM topics", "DELETE FROM messages",
    "ALTER TABLE topics RENAME COLUMN name TO label", "ALTER TABLE messages RENAME COLUMN data TO payload",
    "INSERT INTO topics SELECT id + 100, name, type, serialization_format, offered_qos_profiles FROM topics",
    "CREATE VIEW more AS SELECT * FROM messages", "UPDATE topics SET serialization_format = 'json'",
    "UPDATE messages SET topic_id = topic_id + 1", "DROP TABLE schema",
    "UPDATE schema SET schema_version = 99",
    "UPDATE messages SET data = zeroblob(length(data))", "VACUUM",
)  # fmt: skip


def mutated_rows(rng: Random, data: bytes) -> bytes:
    """Values of any type in any column, tables renamed or dropped: a database that is whole."""
    database = apsw.Connection(":memory:")
    try:
        database.deserialize("main", data)
        for _ in range(rng.randrange(1, 4)):
            _change(rng, database)
        return bytes(database.serialize("main"))
    except apsw.Error:
        return data
    finally:
        database.close()


def _change(rng: Random, database: apsw.Connection) -> None:
    if rng.random() < 0.15:
        database.execute(rng.choice(_STATEMENTS))
        return
    table, column = rng.choice(_COLUMNS)
    rows = [row for (row,) in database.execute(f"SELECT rowid FROM {table}")]
    if not rows:
        return
    row = rng.choice(rows)
    ((held,),) = database.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (row,))
    value = mutated(rng, held, b"") if isinstance(held, bytes) and rng.random() < 0.7 else _value(rng)
    where = f" WHERE rowid = {row}" if rng.random() < 0.8 else ""
    database.execute(f"UPDATE OR IGNORE {table} SET {column} = ?{where}", (value,))


def _value(rng: Random) -> int | float | str | bytes | None:
    number = rng.choice(NUMBERS)
    number = number - (1 << 64) if number >= 1 << 63 else number
    text = rng.choice(TEXTS[:-1])
    return rng.choice(
        (None, number, -number if number > -(1 << 63) else 0, 1.5, 1e300, text, text.encode(), b"")
    )


def mutated_pages(rng: Random, data: bytes) -> bytes:
    """Pages that are zero, exchanged or missing, and header fields that say otherwise."""
    changed = bytearray(data)
    size = 4096
    pages = max(1, len(data) // size)
    for _ in range(rng.randrange(1, 4)):
        at, other = rng.randrange(pages) * size, rng.randrange(pages) * size
        action = rng.randrange(4)
        if action == 0:
            changed[at : at + size] = bytes(len(changed[at : at + size]))
        elif action == 1:
            changed[at : at + size] = data[other : other + size]
        elif action == 2:
            del changed[at + size * rng.randrange(2) :]
        else:
            place = at + rng.randrange(120)
            changed[place : place + 2] = (rng.choice(NUMBERS) & 0xFFFF).to_bytes(2, "big")
    return bytes(changed)
