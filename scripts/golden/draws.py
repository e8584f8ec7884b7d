"""The program's randomness (lib/core/random.h) in Python: Philox4x32-10 (Salmon et al. 2011) keyed by names and numbers."""

U32, U64 = (1 << 32) - 1, (1 << 64) - 1


def mix64(x):
    """The finaliser of SplitMix64."""
    x = ((x ^ (x >> 30)) * 0xbf58476d1ce4e5b9) & U64
    x = ((x ^ (x >> 27)) * 0x94d049bb133111eb) & U64
    return x ^ (x >> 31)


def name_key(name):
    """FNV-1a, mixed."""
    value = 0xcbf29ce484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001b3) & U64
    return mix64(value)


def key(first, *more):
    """One key of several, names among them."""
    for part in more:
        first = mix64((first + 0x9e3779b97f4a7c15 + mix64(name_key(part) if isinstance(part, str) else part)) & U64)
    return first


def philox(block, key_):
    """Four words of a 64-bit counter and key."""
    c, k = [block & U32, block >> 32, 0, 0], [key_ & U32, key_ >> 32]
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & U32, (p >> 32) ^ c[3] ^ k[1], p & U32]
        k = [(k[0] + 0x9E3779B9) & U32, (k[1] + 0xBB67AE85) & U32]
    return c


def permutation(count, key_):
    """0 … count-1 in random order: Fisher-Yates, 64 bits a draw, those refused that would be uneven."""
    words = (word for block in range(1 << 20) for word in reversed(philox(block, key_)))
    order = list(range(count))
    for i in range(count, 1, -1):
        drawn = -1
        while drawn < (1 << 64) % i:
            drawn = (next(words) << 32) | next(words)
        order[i - 1], order[drawn % i] = order[drawn % i], order[i - 1]
    return order
