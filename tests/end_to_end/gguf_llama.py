"""A tiny Llama with random weights in one GGUF file, laid out as llama.cpp's converter writes it: F32 weights, Llama 3.1's
rotary divisors, and the tokenizer of Llama 3 (byte-level pairs) or of Llama 2 (SentencePiece pieces)."""

import math
import random
import struct

from gpt2 import byte_letters

WIDTH, INNER, LAYERS, HEADS, KEY_HEADS, POSITIONS = 32, 48, 2, 2, 1, 320
HEAD, BASE, FACTOR = WIDTH // HEADS, 500000.0, 8.0
UINT32, INT32, FLOAT, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
FORMATS = {UINT32: "<I", INT32: "<i", FLOAT: "<f", BOOL: "<?"}
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6


def raw(kind, value):
    if kind == STRING:
        return struct.pack("<Q", len(value.encode())) + value.encode()
    return struct.pack(FORMATS[kind], value)


def entry(key, kind, value):
    """A key with its value; a list is an array of that kind."""
    if isinstance(value, list):
        items = b"".join(raw(kind, each) for each in value)
        return raw(STRING, key) + struct.pack("<IIQ", ARRAY, kind, len(value)) + items
    return raw(STRING, key) + struct.pack("<I", kind) + raw(kind, value)


def llama3_tokens():
    """256 bytes, two pairs, and the two words around a text."""
    letters = byte_letters()
    pairs = [(letters[10], letters[10]), (letters[32], "t")]
    tokens = [letters[byte] for byte in range(256)] + [a + b for a, b in pairs] + ["<|begin_of_text|>", "<|end_of_text|>"]
    return tokens, [entry("tokenizer.ggml.model", STRING, "gpt2"), entry("tokenizer.ggml.pre", STRING, "llama-bpe"),
                    entry("tokenizer.ggml.merges", STRING, [f"{a} {b}" for a, b in pairs]),
                    entry("tokenizer.ggml.token_type", INT32, [NORMAL] * 258 + [CONTROL] * 2),
                    entry("tokenizer.ggml.bos_token_id", UINT32, 258), entry("tokenizer.ggml.eos_token_id", UINT32, 259)]


def llama2_tokens():
    """The three first ones of every Llama 2, 256 bytes, some letters and a pair."""
    own = ["\u2581", *"abcdefghijklmnopqrstuvwxyz:.", "\u2581t"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *own]
    types = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, *[NORMAL] * len(own)]
    scores = [0.0] * 259 + [-float(i) for i in range(len(own) - 1)] + [0.0]
    return tokens, [entry("tokenizer.ggml.model", STRING, "llama"), entry("tokenizer.ggml.scores", FLOAT, scores),
                    entry("tokenizer.ggml.token_type", INT32, types), entry("tokenizer.ggml.bos_token_id", UINT32, 1),
                    entry("tokenizer.ggml.eos_token_id", UINT32, 2)]


def divisors():
    """What Llama 3.1's scaling divides each rotary frequency by (llama.cpp, conversion/llama.py)."""
    found = []
    for i in range(HEAD // 2):
        turns = 8192 * BASE ** (-2 * i / HEAD) / (2 * math.pi)  # in the positions of training
        smooth = min(max((turns - 1) / (4 - 1), 0), 1)
        found.append(1 / ((1 - smooth) / FACTOR + smooth))
    return found


def tensors(vocabulary, choose):
    """(name, sizes with the fastest first, values) in the file's order."""
    def drawn(*sizes):
        return sizes, [choose.gauss(0, 0.2) for _ in range(math.prod(sizes))]

    def ones():
        return (WIDTH,), [1.0] * WIDTH

    yield "rope_freqs.weight", (HEAD // 2,), divisors()
    yield "token_embd.weight", *drawn(WIDTH, vocabulary)
    yield "output_norm.weight", *ones()
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            yield f"blk.{layer}.{norm}.weight", *ones()
        for name, inputs, outputs in (("attn_q", WIDTH, WIDTH), ("attn_k", WIDTH, KEY_HEADS * HEAD),
                                      ("attn_v", WIDTH, KEY_HEADS * HEAD), ("attn_output", WIDTH, WIDTH),
                                      ("ffn_gate", WIDTH, INNER), ("ffn_up", WIDTH, INNER), ("ffn_down", INNER, WIDTH)):
            yield f"blk.{layer}.{name}.weight", *drawn(inputs, outputs)


def gguf_llama(file, tokenizer=llama3_tokens, seed=7):
    """Writes the file and returns its path."""
    tokens, entries = tokenizer()
    entries = [entry("general.architecture", STRING, "llama"), entry("llama.attention.layer_norm_rms_epsilon", FLOAT, 1e-5),
               entry("llama.rope.freq_base", FLOAT, BASE), *entries, entry("tokenizer.ggml.tokens", STRING, tokens)]
    for key, value in (("embedding_length", WIDTH), ("block_count", LAYERS), ("feed_forward_length", INNER),
                       ("attention.head_count", HEADS), ("attention.head_count_kv", KEY_HEADS), ("context_length", POSITIONS)):
        entries.append(entry(f"llama.{key}", UINT32, value))
    infos, data = b"", b""
    all_tensors = list(tensors(len(tokens), random.Random(seed)))
    for name, sizes, values in all_tensors:
        data += b"\0" * (-len(data) % 32)
        infos += raw(STRING, name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, 0, len(data))
        data += struct.pack(f"<{len(values)}f", *values)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(all_tensors), len(entries)) + b"".join(entries) + infos
    file.write_bytes(head + b"\0" * (-len(head) % 32) + data)
    return file
