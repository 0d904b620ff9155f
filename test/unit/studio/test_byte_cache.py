"""A cache of small files stays within its bytes and drops what was not asked for longest."""

from __future__ import annotations

from perception_contrast_studio.server.byte_cache import ByteCache


def test_what_was_not_asked_for_longest_goes_first_and_bytes_are_counted() -> None:
    cache: ByteCache[str] = ByteCache(10)
    for key in "abc":
        cache.put(key, b"123")
    assert cache.get("a") == b"123"
    cache.put("d", b"123")
    assert (cache.get("b"), cache.get("a"), cache.get("d"), cache.size) == (None, b"123", b"123", 9)
    cache.put("d", b"1")
    assert cache.size == 7
    cache.drop(lambda key: key == "a")
    assert cache.get("a") is None and cache.size == 4


def test_data_above_the_limit_is_not_kept() -> None:
    cache: ByteCache[str] = ByteCache(10)
    cache.put("a", b"12345678901")
    assert cache.get("a") is None and cache.size == 0
