"""GGUF files, what gguf-py makes of their blocks, and what transformers makes of a Llama in one.

Writes tests/golden/gguf/:
  types.gguf, types.safetensors   two rows of every type that is read, of random bits; their values
  llama.gguf, llama.safetensors   a small random Llama, its rows permuted as llama.cpp does; the state dict that
                                  transformers reads from it, and its logits [tokens, vocab] for `ids`
  smollm2.json                    a CRC-32 of every tensor of SmolLM2 as transformers reads it (scripts/fetch_smollm2)
Needs torch, transformers, safetensors, gguf. Run from the repository's root: python scripts/golden/gguf.py
"""
import json
import sys
import zlib
from pathlib import Path

# This file is named like a package that it needs.
HERE = Path(__file__).resolve().parent
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE]
import gguf  # noqa: E402
import numpy  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

sys.path.append(str(HERE))
import recipe  # noqa: E402

FOLDER = recipe.GOLDEN / "gguf"
SMOLLM2 = HERE.parents[1] / "models/smollm2"
TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"]
# Where the halves of a block lie that must be finite.
HALVES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q2_K": [80, 82],
          "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0]}
CONFIG = {"vocab_size": 24, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
          "num_key_value_heads": 2, "max_position_embeddings": 64, "rope_theta": 5000.0, "rms_norm_eps": 1e-5}
NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
         "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
QUANTIZED = {"attn_q": "Q8_0", "attn_k": "Q4_1", "attn_v": "Q5_0", "attn_output": "Q4_0", "ffn_gate": "Q5_1", "ffn_up": "F16",
             "ffn_down": "Q8_0", "token_embd": "Q8_0", "output": "Q8_0"}


def types(random):
    writer, values = gguf.GGUFWriter(FOLDER / "types.gguf", "types"), {}
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        if name in ("F32", "F16", "BF16"):
            floats = random.normal(size=(2, 256)).astype(numpy.float32) * numpy.float32(2.0) ** random.integers(-20, 10, (2, 256))
            rows = gguf.quantize(floats, kind).view(numpy.uint8).reshape(2, -1)
        else:
            blocks = random.integers(0, 256, (2, 256 // elements, size), dtype=numpy.uint8)
            for at in HALVES[name]:
                halves = random.normal(size=blocks.shape[:2]).astype(numpy.float16) / 16
                blocks[..., at:at + 2] = halves.view(numpy.uint8).reshape(*blocks.shape[:2], 2)
            rows = blocks.reshape(2, -1)
        writer.add_tensor(name, rows, raw_dtype=kind)
        floats = rows.view(numpy.float32) if name == "F32" else gguf.dequantize(rows, kind)
        values[name] = torch.from_numpy(numpy.ascontiguousarray(floats).reshape(2, 256).copy())
    finish(writer)
    save_file(values, FOLDER / "types.safetensors")


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def permuted(weight, heads):
    """As LlamaModel.permute of llama.cpp's convert_hf_to_gguf.py."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def gguf_name(name):
    path, kind = name.rsplit(".", 1)
    if path.startswith("model.layers."):
        layer, rest = path.removeprefix("model.layers.").split(".", 1)
        return f"blk.{layer}.{NAMES[rest]}", kind
    return {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}[path], kind


def llama():
    torch.manual_seed(69)
    config = transformers.LlamaConfig(**{k: v for k, v in CONFIG.items() if k != "rope_theta"}, tie_word_embeddings=False,
                                      rope_parameters={"rope_type": "default", "rope_theta": CONFIG["rope_theta"]})
    model = transformers.LlamaForCausalLM(config)
    writer = gguf.GGUFWriter(FOLDER / "llama.gguf", "llama")
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(CONFIG["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for name, weight in model.state_dict().items():
        path, kind = gguf_name(name)
        part, weight = path.split(".")[-1], weight.numpy() + (0.1 if "norm" in name else 0)
        if part in ("attn_q", "attn_k"):
            weight = permuted(weight, config.num_attention_heads if part == "attn_q" else config.num_key_value_heads)
        quantized = gguf.GGMLQuantizationType[QUANTIZED.get(part, "F32")]
        writer.add_tensor(f"{path}.{kind}", gguf.quantize(weight.astype(numpy.float32), quantized), raw_dtype=quantized)
    finish(writer)
    read = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file="llama.gguf", dtype=torch.float32)
    state = {name: tensor.contiguous().clone() for name, tensor in read.state_dict().items()}
    ids = torch.tensor([1, 5, 9, 23, 0, 7, 7, 2])
    with torch.no_grad():
        logits = read.double()(ids[None]).logits[0].float()
    save_file({**state, "ids": ids, "logits": logits}, FOLDER / "llama.safetensors")


def smollm2():
    (file,) = SMOLLM2.glob("*.gguf")
    model = transformers.AutoModelForCausalLM.from_pretrained(SMOLLM2, gguf_file=file.name, dtype=torch.float32)
    wanted = dict(model.named_parameters())
    crcs = {name: f"{zlib.crc32(tensor.detach().numpy().tobytes()):08x}" for name, tensor in sorted(wanted.items())}
    (FOLDER / "smollm2.json").write_text(json.dumps({"file": file.name, "crc32": crcs}, indent=0) + "\n")


if __name__ == "__main__":
    found = {**recipe.versions(), "gguf": __import__("importlib.metadata").metadata.version("gguf")}
    FOLDER.mkdir(exist_ok=True)
    types(numpy.random.default_rng(69))
    llama()
    smollm2()
    for file in FOLDER.iterdir():
        file.chmod(0o644)
        print(file.name, file.stat().st_size, "bytes")
    recipe.record("scripts/golden/gguf.py", {"versions": found, "seed": 69, "tolerances": "none: equal bit for bit"})
