"""What a model's own files say of it, whoever runs it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """A model by its files. Sizes in bytes; 0 or "" where the files do not tell.

    ``size``: its files altogether. ``layers``: the weights of each repeated layer; ``output``:
    of what comes after the last; ``input``: of what comes before the first. ``cache_a_token``:
    keys and values of one token in each layer, at 16 bits. ``forward``: the width inside a
    layer's feed-forward part. ``tied``: what comes first serves as what comes last too.
    ``context``: tokens that it was trained for.
    """

    name: str
    architecture: str
    quantisation: str
    parameters: int
    size: int
    input: int
    layers: tuple[int, ...]
    output: int
    cache_a_token: tuple[int, ...]
    embedding: int
    forward: int
    heads: int
    context: int
    vocabulary: int
    tied: bool
    template: bool

    @property
    def weights(self) -> int:
        return self.input + sum(self.layers) + self.output


def cache_a_token(kv_heads: int, key_length: int, value_length: int) -> int:
    """Bytes of one token's keys and values in one layer, 16 bits each."""
    return 2 * kv_heads * (key_length + value_length)


NONSENSE = "is damaged: its header makes no sense"
MAX_LAYERS = 2000
_MAX_NUMBER = 2**31


class Wrong(Exception):
    """What is wrong with a model's files, as the rest of a sentence about it."""


def number(value: object, most: int = _MAX_NUMBER) -> int:
    """A count that a file tells. Raises Wrong for what is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise Wrong(NONSENSE)
    return value


def amount(size: int) -> str:
    """Bytes for people, in powers of 1,000 as disks are sold: ``98.4 MB``."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes"
