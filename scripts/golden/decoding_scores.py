"""A language model of a few lines, for goldens of decoding: logits that depend on all tokens so far.

tests/decoding/toy_model.h computes the same numbers. They are multiples of 1/4096 below 64, so they are
exact in float32 on both sides. The last token decides most (so that n-grams do come again), the whole
history a little (so that no two rows have equal logits), and end tokens get a bonus.
"""

import numpy as np


def mix(x):
    """Murmur3's finaliser on uint32 arrays."""
    x = np.asarray(x, dtype=np.uint32).reshape(-1)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))


def number(seed, what):
    """The parameter number `what` of case `seed`."""
    return int(mix((int(mix(seed)[0]) + what * 0x9E3779B9) % 2**32)[0])


class Toy:
    """sharpness: a power of two from 1/4 to 4. end_bonus: in 1/1024."""

    def __init__(self, seed, vocab, end, sharpness, end_bonus):
        self.seed, self.vocab, self.end = seed, vocab, list(end)
        self.sharpness, self.end_bonus = sharpness, end_bonus
        self.columns = np.arange(vocab, dtype=np.uint32) * np.uint32(0x85EBCA77)

    def logits(self, tokens):
        """[vocab] float32, after `tokens` (at least one)."""
        history = number(self.seed, 100)
        for token in tokens:
            history = int(mix(history ^ ((int(token) + 0x9E3779B9) % 2**32))[0])
        row = np.uint32(number(self.seed, 1000 + int(tokens[-1])))
        base = (mix(row + self.columns) % np.uint32(8192)).astype(np.int64) - 4096
        jitter = (mix(np.uint32(history) + self.columns) % np.uint32(512)).astype(np.int64)
        units = (base * 4 * self.sharpness).astype(np.int64) + jitter * 4
        units[self.end] += 4 * self.end_bonus
        return (units / 4096).astype(np.float32)


def checksum(tokens):
    """FNV-1a over tokens, 32 bits."""
    value = 0x811C9DC5
    for token in tokens:
        value = ((value ^ int(token)) * 0x01000193) % 2**32
    return value
