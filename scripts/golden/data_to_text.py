"""What is in the data-to-text sets, read with Python's own parsers: counts, and a hash of all pairs and prompts.

Contexts, completions and the choice of texts are those of microsoft/LoRA (examples/NLG/src/format_converting_*.py). Reads the
real files beside the checkout (../shared/data) and writes tests/golden/data_to_text.json, which holds no text of theirs.
Run: python scripts/golden/data_to_text.py
"""
import csv
import json
import platform
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
SEEN = "Airport Astronaut Building City ComicsCharacter Food Monument SportsTeam University WrittenWork".split()


def fnv(text):
    """FNV-1a, 64 bits, then the finaliser of SplitMix64."""
    h, mask = 0xCBF29CE484222325, (1 << 64) - 1
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 & mask
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9 & mask
    h = (h ^ h >> 27) * 0x94D049BB133111EB & mask
    return f"{h ^ h >> 31:016x}"


def join(triples):
    return " | ".join("{} : {} : {}".format(*triple) for triple in triples)


def webnlg_json(file):
    for number, numbered in enumerate(json.loads(file.read_text("utf-8"))["entries"], 1):
        entry = numbered[str(number)]
        context = join((t["subject"], t["property"], t["object"]) for t in entry["modifiedtripleset"])
        texts = [text["lex"] for text in entry["lexicalisations"] if text["comment"] == "good"]
        yield context, texts, "seen" if entry["category"] in SEEN else "unseen"


def webnlg_xml(*files):
    for file in files:
        for entry in ElementTree.parse(file).getroot().iter("entry"):
            context = join(t.text.split(" | ") for t in entry.find("modifiedtripleset"))
            texts = [text.text for text in entry.findall("lex") if text.get("comment") == "good"]
            yield context, texts, "seen" if entry.get("category") in SEEN else "unseen"


def dart(file):
    for entry in json.loads(file.read_text("utf-8")):
        context = join((s, relation.lower(), o) for s, relation, o in entry["tripleset"])
        yield context, [annotation["text"] for annotation in entry["annotations"]], ""


def e2e_lines(file):
    for line in file.read_text("utf-8").splitlines():
        context, text = line.strip().split("||")
        yield context, [text], ""


def e2e_csv(file, lines):
    """The texts of the CSV, under the contexts that microsoft/LoRA gives to the same rows."""
    with open(file, encoding="utf-8", newline="") as opened:
        rows = list(csv.reader(opened))[1:]
    contexts = [context for context, _, _ in e2e_lines(lines)]
    if len(rows[0]) == 1:
        contexts = list(dict.fromkeys(contexts))  # testset.csv: the contexts alone, once each
    assert len(rows) == len(contexts)
    for row, context in zip(rows, contexts):
        yield context, row[1:], ""


def distinct(entries):
    joined = {}
    for context, texts, group in entries:
        joined.setdefault((context, group), []).extend(texts)
    return [(context, texts, group) for (context, group), texts in joined.items()]


def summary(entries, prompts):
    pairs = [(context, text) for context, texts, _ in entries for text in texts]
    flat = "".join(f"{context}\x1f{text}\x1f\x1e" for context, text in pairs)
    for context, texts, group in prompts:
        flat += f"{context}\x1f{group}\x1f" + "".join(f"{text}\x1f" for text in texts) + "\x1e"
    return {"pairs": len(pairs), "prompts": len(prompts), "hash": fnv(flat)}


def main():
    webnlg, lora = DATA / "webnlg2017", DATA / "e2e" / "lora_format"
    each = []

    def add(task, folder, split, file, entries, options=None):
        entries = list(entries)
        join_them = task == "e2e" or options is not None
        each.append({"task": task, "folder": str(folder.relative_to(DATA)), "split": split, "options": {split: file, **(options or {})},
                     **summary(entries, distinct(entries) if join_them else entries)})

    for split in "train", "dev", "test":
        add("webnlg", webnlg / "lora_json", split, f"{split}.json", webnlg_json(webnlg / "lora_json" / f"{split}.json"))
    for split in "train", "dev":
        add("webnlg", webnlg / "xml", split, split, webnlg_xml(*sorted((webnlg / "xml" / split).glob("*/*.xml"))))
    for name in "with_lex", "no_lex", "unseen_with_lex":
        add("webnlg", webnlg / "xml", "test", f"testdata_{name}.xml", webnlg_xml(webnlg / "xml" / f"testdata_{name}.xml"))
    for folder in "official_v1.1.1", "lora_json":
        for split in "dev", "test":
            file = f"dart-v1.1.1-full-{split}.json"
            for options in None, {"prompts": "context"}:
                add("dart", DATA / "dart" / folder, split, file, dart(DATA / "dart" / folder / file), options)
    file = "dart-train-webnlg-part.DERIVED.json"
    add("dart", DATA / "dart" / "derived", "train", file, dart(DATA / "dart" / "derived" / file))
    for split, name in ("train", "train"), ("dev", "valid"), ("test", "test"):
        add("e2e", lora, split, f"{name}.txt", e2e_lines(lora / f"{name}.txt"))
    for split, name, of in ("dev", "devset", "valid"), ("test", "testset_w_refs", "test"), ("test", "testset", "test"):
        add("e2e", DATA / "e2e", split, f"{name}.csv", e2e_csv(DATA / "e2e" / f"{name}.csv", lora / f"{of}.txt"))

    out = ROOT / "tests" / "golden" / "data_to_text.json"
    lines = ",\n".join(json.dumps(one) for one in each)
    versions = json.dumps({"python": platform.python_version()})
    out.write_text(f'{{"script": "scripts/golden/data_to_text.py", "versions": {versions}, "sets": [\n{lines}\n]}}\n')
    print(f"Python {platform.python_version()}: {len(each)} sets in {out.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
