"""A tiny GPT-2 with random weights and byte-level pairs, and tasks for it: what the tests of writing texts share."""

import json
import random
import struct

from support import SOURCE, config

SAMPLES = SOURCE / "data" / "samples"
WIDTH, LAYERS, POSITIONS = 32, 2, 320


def byte_letters():
    """The character by which GPT-2 writes each byte: itself where it can be seen, else one from 256 on."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in seen]
    return {**{b: chr(b) for b in seen}, **{b: chr(256 + i) for i, b in enumerate(hidden)}}


def write_tokenizer(folder):
    """256 bytes, two pairs (a double line break, " t"), and the end of a text; returns how many tokens."""
    letters = byte_letters()
    tokens = [letters[byte] for byte in range(256)]
    pairs = [(letters[10], letters[10]), (letters[32], "t")]
    tokens += [a + b for a, b in pairs] + ["<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in pairs))
    return len(tokens)


def shapes(vocabulary):
    """{name of a tensor: its shape} as Hugging Face's GPT2LMHeadModel saves them."""
    out = {"wte.weight": (vocabulary, WIDTH), "wpe.weight": (POSITIONS, WIDTH)}
    for layer in range(LAYERS):
        for norm in ("ln_1", "ln_2"):
            out |= {f"h.{layer}.{norm}.{part}": (WIDTH,) for part in ("weight", "bias")}
        for name, rows, columns in (("attn.c_attn", 1, 3), ("attn.c_proj", 1, 1), ("mlp.c_fc", 1, 4), ("mlp.c_proj", 4, 1)):
            out[f"h.{layer}.{name}.weight"] = (rows * WIDTH, columns * WIDTH)
            out[f"h.{layer}.{name}.bias"] = (columns * WIDTH,)
    out |= {f"ln_f.{part}": (WIDTH,) for part in ("weight", "bias")}
    return {"transformer." + name: shape for name, shape in out.items()}


def values_of(name, shape, writes, choose):
    """Random numbers; but the last of the WIDTH numbers is 1 behind ln_f, and so a bias on each token's logit."""
    size = shape[0] * (shape[1] if len(shape) > 1 else 1)
    if name == "transformer.ln_f.weight":
        return [1.0] * (WIDTH - 1) + [0.0]
    if name == "transformer.ln_f.bias":
        return [0.0] * (WIDTH - 1) + [1.0]
    if ".ln_" in name and name.endswith("weight"):
        return [1.0] * size
    values = [choose.gauss(0, 0.2) for _ in range(size)]
    if name == "transformer.wte.weight":
        values[WIDTH - 1::WIDTH] = [5.0 if token in set(writes) else -5.0 for token in range(shape[0])]
        values[-1] = 0.0  # the end: not at once, but easily learned
    return values


def gpt2_model(folder, writes=b" abcdefghijklmnopqrstuvwxyz.", seed=5):
    """A Hugging Face folder; the model writes nothing but those bytes, as long as it has not learned to."""
    folder.mkdir(parents=True)
    vocabulary = write_tokenizer(folder)
    choose, header, data = random.Random(seed), {}, b""
    for name, shape in shapes(vocabulary).items():
        values = values_of(name, shape, writes, choose)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * len(values)]}
        data += struct.pack(f"<{len(values)}f", *values)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu_new",
        "n_embd": WIDTH, "n_head": 2, "n_inner": None, "n_layer": LAYERS, "n_positions": POSITIONS,
        "layer_norm_epsilon": 1e-5, "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0,
        "scale_attn_by_inverse_layer_idx": False, "scale_attn_weights": True, "tie_word_embeddings": True,
        "bos_token_id": vocabulary - 1, "eos_token_id": vocabulary - 1, "vocab_size": vocabulary}))
    return folder


def writing(model, data, task, **changes):
    """A configuration that trains two epochs and writes short texts with few beams."""
    train = {"epochs": 2, "batch_size": 4, "max_length": 300, **changes.pop("train", {})}
    generate = {"beams": 3, "max_new_tokens": 12, **changes.pop("generate", {})}
    return config(model, data, task={"name": task}, train=train, generate=generate,
                  **{"adapter": {"targets": ["c_attn"]}, **changes})


def pairs(folder, words, train=24, test=4):
    """A data_to_text task: the text names what the prompt does."""
    folder.mkdir(parents=True)
    rows = [{"prompt": f"what : {word}", "completion": f"it is {word}."} for word in words]
    for split, count in (("train", train), ("dev", 4), ("test", test)):
        lines = [json.dumps(rows[i % len(rows)]) for i in range(count)]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return folder
