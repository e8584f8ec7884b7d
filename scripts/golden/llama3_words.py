"""How Hugging Face `tokenizers` cuts texts by the pattern of Llama 3's tokenizer.json. From the repository's root:
python scripts/golden/llama3_words.py
It writes tests/cases/tokenizers/llama3_words.json: texts drawn from an alphabet of hard pieces, and their words; and
small/llama3/tokenizer.json beside it, a tokenizer laid out as Llama 3's is, with the ids of some texts.
"""
import json
import random
import sys
from pathlib import Path

# Files beside this one are named like packages that it needs.
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]

import tokenizers  # noqa: E402
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, processors, trainers  # noqa: E402

CASES = Path(__file__).resolve().parents[2] / "tests/cases/tokenizers"
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")
PIECES = ["a", "Zz", "\u00e9", "\u4e2d", "'", "'s", "'S", "'\u017f", "'ll", "'lL", "'Re", "'VE", "'d", "'l", "'r", "s", "1", "22",
          "4444", "\u0663", "\u00bd", "\u2167", " ", "  ", "   ", "\t", "\n", "\r\n", "\r", "\n\n", "\u00a0", "\u2003", "\u0085",
          "\u2028", "\v", ".", "!?", "-", "_", "\u2019s", "\u0301", "\u200b", "\U0001f600", "\ufb06", "\x00", "\x1c"]
SAMPLES = ["", " ", "It's 2015, isn't it?\n\nYES'LL  do.", "x = 12345;\r\n\treturn x\n", "<|begin|>caf\u00e9 \u4e2d\u6587 \U0001f600<|end|> ",
           "hello hello", "a  b   c\n"]


def texts():
    draw = random.Random(3)
    return ["".join(draw.choice(PIECES) for _ in range(draw.randint(1, 12))) for _ in range(1500)]


def tokenizer():
    made = tokenizers.Tokenizer(models.BPE(ignore_merges=True))
    split = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(Path(__file__).read_text().split("\n"), trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    # a word that is a token, and that no merges make
    made = json.loads(made.to_str())
    made["model"]["vocab"]["hello"] = len(made["model"]["vocab"])
    made = tokenizers.Tokenizer.from_str(json.dumps(made))
    made.add_special_tokens([AddedToken("<|begin|>", normalized=False), AddedToken("<|end|>", normalized=False)])
    begin = made.token_to_id("<|begin|>")
    made.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single="<|begin|> $A", pair="<|begin|> $A <|begin|>:1 $B:1", special_tokens=[("<|begin|>", begin)])])
    return made


def main():
    split = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False)
    cases = [{"text": text, "words": [word for word, _ in split.pre_tokenize_str(text)]} for text in texts()]
    lines = ",\n".join(map(json.dumps, cases))
    (CASES / "llama3_words.json").write_text(f"[\n{lines}\n]\n")
    made = tokenizer()
    folder = CASES / "small/llama3"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(json.loads(made.to_str()), separators=(",", ":")) + "\n")
    samples = [{"text": text, "ids": made.encode(text).ids} for text in SAMPLES]
    (CASES / "llama3.json").write_text("[\n" + ",\n".join(map(json.dumps, samples)) + "\n]\n")


if __name__ == "__main__":
    print({"tokenizers": tokenizers.__version__})
    main()
