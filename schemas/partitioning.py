"""Which partition of the facts topic a subject belongs to: the one that Kafka's default partitioner chooses.

So every Kafka client, in any language, finds the partition of a subject by its key.
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # compiled code then counts in machine words; interpreted code never looks at what locals are
    from mypy_extensions import i64

_M: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C
_LOW: Final = 0xFFFF
_WORD: Final = 0xFFFFFFFF


def facts_partition(key: bytes, count: int) -> int:
    """The partition, of `count`, to which records with this key go."""
    return (murmur2(key) & 0x7FFFFFFF) % count


def murmur2(key: bytes) -> int:
    """Kafka's hash of a key: MurmurHash2, 32 bits, unsigned, with Kafka's seed.

    Products are taken in halves, so that none needs more than a machine word.
    """
    length: i64 = len(key)
    end: i64 = length & ~3
    h: i64 = _SEED ^ length
    at: i64 = 0
    k: i64
    while at < end:
        k = key[at]
        k |= key[at + 1] << 8
        k |= key[at + 2] << 16
        k |= key[at + 3] << 24
        k = ((k & _LOW) * _M + (((k >> 16) * _M & _LOW) << 16)) & _WORD
        k ^= k >> 24
        k = ((k & _LOW) * _M + (((k >> 16) * _M & _LOW) << 16)) & _WORD
        h = ((h & _LOW) * _M + (((h >> 16) * _M & _LOW) << 16)) & _WORD
        h ^= k
        at += 4
    rest: i64 = length - end
    if rest == 3:
        h ^= key[end + 2] << 16
    if rest >= 2:
        h ^= key[end + 1] << 8
    if rest:
        h ^= key[end]
        h = ((h & _LOW) * _M + (((h >> 16) * _M & _LOW) << 16)) & _WORD
    h ^= h >> 13
    h = ((h & _LOW) * _M + (((h >> 16) * _M & _LOW) << 16)) & _WORD
    return h ^ h >> 15
