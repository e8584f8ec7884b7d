"""What Hugging Face `tokenizers` and SentencePiece make of every text of ../shared/data: the tokenizers of models
that generate. Only hashes of real texts are written. Run from the repository's root, with ../shared beside it and
models/smollm2 (scripts/fetch_smollm2): python scripts/golden/generation_tokenizers.py
It writes
  tests/golden/tokenizers/generation.json           a CRC-32 of the ids of each file, see `texts_of`
  tests/cases/tokenizers/sentencepiece.json         ids of some texts by the small SentencePiece model
  tests/cases/tokenizers/small/sentencepiece/       that model (only where it is absent), made of this text

SmolLM2 from its GGUF file is checked against transformers' reading of it (AutoTokenizer, gguf_file) with one step
added: transformers does not split digits there, which llama.cpp ("tokenizer.ggml.pre" smollm) and SmolLM2's own
tokenizer.json (Sequence of Digits and ByteLevel) do. How many texts that changes is printed.
"""
import io
import json
import sys
import zlib
from pathlib import Path

# Files beside this one are named like packages that it needs.
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]

import numpy  # noqa: E402
import sentencepiece  # noqa: E402
import tokenizers  # noqa: E402
import transformers  # noqa: E402
from tokenizers import pre_tokenizers  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SHARED, DATA = ROOT.parent / "shared", ROOT.parent / "shared/data"
GOLDEN, CASES = ROOT / "tests/golden/tokenizers", ROOT / "tests/cases/tokenizers"
VERSIONS = {"tokenizers": tokenizers.__version__, "transformers": transformers.__version__,
            "sentencepiece": sentencepiece.__version__}
SMALL = CASES / "small/sentencepiece/tokenizer.model"
TEXTS = ["", " ", "a", "Hello, World!", "  two  spaces ", "tab\there\nand a line", "caf\u00e9 \u4e2d\u6587 \U0001f600", "<s> a </s>",
         "The number 2015.", "\u2581 a", "def strings(value):"]


def strings(value):
    """All strings among the values of JSON, in document order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings(each)


def texts_of(path):
    """The strings of JSON and JSON lines; of other files the lines, split at tabs and at "||". What is not UTF-8 is
    left out and counted."""
    content = path.read_bytes()
    if path.suffix == ".json":
        return list(strings(json.loads(content))), 0
    lines = content.split(b"\n")
    lines = lines[:-1] if lines[-1] == b"" else lines
    if path.suffix == ".jsonl":
        return [text for line in lines for text in strings(json.loads(line))], 0
    texts, invalid = [], 0
    for piece in (piece for line in lines for field in line.split(b"\t") for piece in field.split(b"||")):
        try:
            texts.append(piece.decode("utf-8"))
        except UnicodeDecodeError:
            invalid += 1
    return texts, invalid


def is_tied(text):
    """The only text of all of which versions of SentencePiece take different ones of two equally good ways: 0.1.97 ends it
    with 1111 1111 1111 11, 0.2.3, as Hugging Face, with 11 1111 1111 1111."""
    return text == "2.11111111111111"


def crc_of(all_ids):
    crc = 0
    for ids in all_ids:
        crc = zlib.crc32(numpy.asarray([*ids, -1], dtype="<i4").tobytes(), crc)
    return f"{crc:08x}"


def small_model():
    if not SMALL.exists():
        SMALL.parent.mkdir(parents=True)
        made = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(Path(__file__).read_text().split("\n")), model_writer=made, model_type="bpe", vocab_size=420,
            byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True,
            character_coverage=1.0, minloglevel=2)
        SMALL.write_bytes(made.getvalue())
    return sentencepiece.SentencePieceProcessor(model_file=str(SMALL))


def main():
    (gguf,) = (ROOT / "models/smollm2").glob("*.gguf")
    read = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).backend_tokenizer
    smollm2 = tokenizers.Tokenizer.from_str(read.to_str())
    smollm2.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), smollm2.pre_tokenizer])
    fast = {"gpt2": transformers.GPT2Tokenizer.from_pretrained(SHARED / "tokenizers/gpt2").backend_tokenizer, "smollm2": smollm2,
            "deberta": transformers.DebertaV2Tokenizer.from_pretrained(SHARED / "tokenizers/deberta-v3").backend_tokenizer,
            "stories260K": tokenizers.Tokenizer.from_file(str(SHARED / "weights/stories260K/tokenizer.json"))}
    unigram = sentencepiece.SentencePieceProcessor(model_file=str(SHARED / "tokenizers/deberta-v3/spm.model"))
    small = small_model()
    files, undivided, count = {}, 0, 0
    for path in sorted(path for path in DATA.rglob("*") if path.is_file()):
        texts, invalid = texts_of(path)
        entry = {"texts": len(texts), "invalid": invalid}
        ids = {name: [one.ids for one in t.encode_batch(texts, add_special_tokens=False)] for name, t in fast.items()}
        entry |= {name: crc_of(found) for name, found in ids.items()}
        entry |= {"unigram": crc_of(unigram.encode([text for text in texts if not is_tied(text)])),
                  "small": crc_of(small.encode(texts))}
        plain = [one.ids for one in read.encode_batch(texts, add_special_tokens=False)]
        undivided += sum(a != b for a, b in zip(plain, ids["smollm2"]))
        count += len(texts)
        files[path.relative_to(DATA).as_posix()] = entry
    print(f"{count} texts; {undivided} of them are other ids for transformers' reading of the GGUF file, without Digits")
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in files.items())
    (GOLDEN / "generation.json").write_text(f'{{"versions": {json.dumps(VERSIONS)},\n"texts": {count}, "files": {{\n{lines}\n}}}}\n')
    cases = [{"text": text, "ids": small.encode(text)} for text in TEXTS]
    (CASES / "sentencepiece.json").write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n")


if __name__ == "__main__":
    print(VERSIONS)
    main()
