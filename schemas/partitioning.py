"""Which partition of the facts topic a subject belongs to: the one that Kafka's default partitioner chooses.

So every Kafka client, in any language, finds the partition of a subject by its key.
"""

from typing import Final

_M: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C
_LOW: Final = 0xFFFF
_WORD: Final = 0xFFFFFFFF


def facts_partition(key: bytes, count: int) -> int:
    """The partition, of `count`, to which records with this key go."""
    return (murmur2(key) & 0x7FFFFFFF) % count


def murmur2(key: bytes) -> int:
    """Kafka's hash of a key: MurmurHash2, 32 bits, unsigned, with Kafka's seed."""
    length = len(key)
    end = length & ~3
    h = _SEED ^ length
    for at in range(0, end, 4):
        k = key[at] | key[at + 1] << 8 | key[at + 2] << 16 | key[at + 3] << 24
        k = _times(k)
        h = _times(h) ^ _times(k ^ k >> 24)
    rest = length - end
    if rest:
        if rest == 3:
            h ^= key[end + 2] << 16
        if rest >= 2:
            h ^= key[end + 1] << 8
        h = _times(h ^ key[end])
    h = _times(h ^ h >> 13)
    return h ^ h >> 15


def _times(word: int) -> int:
    """A 32-bit word times the hash's constant, 32 bits of it. In halves: compiled code then needs no big integer."""
    return ((word & _LOW) * _M + (((word >> 16) * _M & _LOW) << 16)) & _WORD
