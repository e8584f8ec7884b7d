"""Whatever is wrong with the files that the user names: one clear message that names it, exit code 1, nothing
half-written."""

import json
import shutil
import subprocess

import support
from refused import RefusedCase
from support import config, main, read_safetensors, write_json, write_table


class BadInput(RefusedCase):
    def setUp(self):
        super().setUp()
        self.best = self.place / "run" / "best"

    def prepare(self):
        super().prepare()
        self.train("run", config(self.place / "model", self.place / "data", train={"epochs": 1}))

    # the model

    def test_a_missing_model(self):
        self.refused("nowhere", sets=["model.path=nowhere"])
        self.refused("x" * 300, "too long", sets=[f"model.path={'x' * 300}"])
        model = self.copy(self.model, "headless")
        for name in ("vocab.txt", "config.json", "model.safetensors"):
            with self.subTest(missing=name):
                (model / name).rename(self.place / "aside")
                self.refused(model, sets=[f"model.path={model}"])
                (self.place / "aside").rename(model / name)

    def test_a_folder_of_gguf_files(self):
        folder = self.place / "ggufs"
        folder.mkdir()
        shutil.copyfile(support.GOLDEN / "gguf" / "llama.gguf", folder / "a.gguf")
        found = json.loads(self.succeeds("inspect", folder, "--json").out)
        self.assertEqual((found["kind"], found["model_type"]), ("model", "llama"))
        self.assertEqual(found, json.loads(self.succeeds("inspect", folder / "a.gguf", "--json").out))
        self.assertIn("llama", self.succeeds("inspect", folder).out)
        stored = {t["name"]: t["stored"] for t in found["tensors"]}
        self.assertEqual(stored["model.norm.weight"], "F32")
        self.assertGreater(len(set(stored.values())), 1)
        self.assertIn(f'"num_hidden_layers": {found["config"]["num_hidden_layers"]}', self.succeeds("inspect", folder / "a.gguf").out)
        shutil.copyfile(folder / "a.gguf", folder / "b.gguf")
        self.fails("inspect", folder, names=[folder, "no config.json", "a.gguf, b.gguf", "name one"])
        self.refused(folder, "a.gguf, b.gguf", "name one", sets=[f"model.path={folder}"])

    def test_damaged_weights(self):
        whole = (self.model / "model.safetensors").read_bytes()
        damages = {"truncated": whole[:-100], "header": whole[:50], "empty": b"", "seven": whole[:7],
                   "long": b"\xff" * 8 + whole[8:], "text": b"this is no weights file at all, not at all"}
        for name, content in damages.items():
            with self.subTest(weights=name):
                self.refused("model.safetensors", config=self.model_with(f"m-{name}", model__safetensors=content))

    def test_a_damaged_model_config(self):
        damages = {"text": b"hello", "list": b"[]", "bare": b"{}", "other": b'{"model_type": "bort"}'}
        for name, content in damages.items():
            with self.subTest(config=name):
                self.refused("config.json", config=self.model_with(f"c-{name}", config__json=content))

    def test_weights_of_other_shapes(self):
        settings = json.loads((self.model / "config.json").read_text())
        settings["intermediate_size"] = 96
        changed = self.model_with("shapes", config__json=json.dumps(settings).encode())
        self.refused("intermediate.dense.weight", "[128, 64]", "[96, 64]", config=changed)

    def test_a_vocabulary_larger_than_the_embeddings(self):
        words = (self.model / "vocab.txt").read_bytes()
        self.refused("101", "100", config=self.model_with("vocabulary", vocab__txt=words + b"more\n"))

    # the data

    def test_missing_data(self):
        self.refused("nowhere", sets=["task.data=nowhere"])
        empty = self.place / "empty"
        empty.mkdir(exist_ok=True)
        self.refused(empty, "train", sets=[f"task.data={empty}"])
        self.refused("other.tsv", sets=["task.train=other.tsv"])
        for split in ("dev", "test"):  # whether it is asked for or not
            self.refused(f"/task/{split}", "other.tsv", "train.tsv", sets=[f"task.{split}=other.tsv"])
        self.refused("body", "text", sets=["task.text=body"])

    def test_a_label_outside_the_set(self):
        changed = self.data_with("labels", "text\tlabel\na good film\tgood\na film\tso-so\n", "dev.tsv")
        self.refused("dev.tsv:3", "so-so", config=changed)

    def test_malformed_rows(self):
        changed = self.data_with("rows", "text\tlabel\na film\tgood\nno label\nbad\tbad\tbad\na bad one\tbad\n")
        self.refused("train.tsv:3", "train.tsv:4", config=changed)
        changed = self.data_with("json", '{"text": "a", "label": "good"}\n{"text": "b"\n{"text": 3, "label": "bad"}\n'
                                         '{"text": "c", "label": "bad"}\n', "lines.jsonl")
        changed["task"]["train"] = "lines.jsonl"
        self.refused("lines.jsonl:2", "lines.jsonl:3", config=changed)

    def test_data_without_examples(self):
        for name, content in (("nothing", b""), ("header", b"text\tlabel\n"), ("lines", b"\n\n")):
            with self.subTest(data=name):
                self.refused("train.tsv", config=self.data_with(f"d-{name}", content))
        named = self.data_with("named", b"text\tlabel\n")
        named["task"]["labels"] = ["bad", "good"]
        self.refused("train", config=named)
        dev = self.data_with("dev", b"text\tlabel\n", "dev.tsv")
        self.refused("dev", config=dev)

    def test_one_class_is_no_classification(self):
        self.refused("train.tsv", "good", config=self.data_with("one", "text\tlabel\na\tgood\nb\tgood\n"))

    def test_labels_and_data_that_may_not_be_meant_are_told(self):
        rows = "".join(f"a {label} film\t{label}\n" for label in ("good", " Good", "1", "1.0", "nan", "bad") * 4)
        changed = self.data_with("alike", "text\tlabel\n" + rows)
        changed["task"]["dev"] = "train.tsv"
        said = self.succeeds("plan", "--config", write_json(self.place / "alike.json", changed)).err
        for told in ('labels " Good" and "good" are', 'labels "1" and "1.0" are', 'label "nan" is a class', "same bytes as train"):
            self.assertIn(told, said)
        usual = self.succeeds("plan", "--config", write_json(self.place / "usual.json", self.base)).err
        for untold in ("different classes", "is a class", "same bytes"):
            self.assertNotIn(untold, usual)

    def test_invalid_utf8(self):
        rows = b"text\tlabel\na film\tgood\na b\xff film\tbad\n"
        self.refused("train.tsv:3", "UTF-8", config=self.data_with("utf8", rows))
        self.fails("predict", "--checkpoint", self.best, stdin=b"a film\na \xc3( film\n", names=["stdin:2", "UTF-8"])

    # checkpoints

    def test_no_checkpoint_where_one_is_named(self):
        self.fails("eval", "--checkpoint", "nowhere", names=["nowhere"])
        self.fails("eval", "--checkpoint", self.model, names=[self.model])
        self.fails("eval", "--checkpoint", self.best.parent, names=[self.best.parent, "best/"])
        for command in ("eval", "predict", "generate"):
            self.fails(command, code=2, names=["one of --checkpoint DIR and --model DIR is needed"])
            self.fails(command, "--checkpoint", self.best, "--model", self.model, code=2,
                       names=["only one of --checkpoint DIR and --model DIR can be given"])
        self.refused("nowhere", sets=["adapter.start_from=nowhere"])

    def test_a_checkpoint_of_another_base(self):
        other = self.copy(self.model, "other")
        weights = (other / "model.safetensors").read_bytes()
        key = read_safetensors(other / "model.safetensors")[0]["bert.encoder.layer.1.attention.self.key.weight"][2]
        one_bit = bytes([key[0] ^ 1]) + key[1:]
        self.assertEqual(weights.count(key), 1)
        (other / "model.safetensors").write_bytes(weights.replace(key, one_bit))
        for command in (["eval", "--checkpoint", self.best], ["predict", "--checkpoint", self.best]):
            self.fails(*command, "--set", f"model.path={other}", names=[self.best, other])
        self.refused(self.best, "base", sets=[f"model.path={other}", f"adapter.start_from={self.best}"])

    def test_a_damaged_checkpoint(self):
        broken = self.copy(self.best, "broken")
        adapter = broken / "adapter.safetensors"
        adapter.write_bytes(adapter.read_bytes()[:-8])
        self.fails("eval", "--checkpoint", broken, names=[adapter])
        shutil.copyfile(self.best / "adapter.safetensors", adapter)
        settings = json.loads((broken / "config.json").read_text())
        settings["adapter"]["method"]["rank"] = 2
        (broken / "config.json").write_text(json.dumps(settings))
        self.fails("eval", "--checkpoint", broken, names=[adapter, "query.lora_A", "[4, 64]", "[2, 64]"])
        (broken / "state.json").write_text("nonsense")
        self.fails("eval", "--checkpoint", broken, names=[broken / "state.json"])

    def test_splits_that_cannot_be_scored(self):
        self.fails("eval", "--checkpoint", self.best, "--split", "test", names=["test", "label"])
        self.fails("eval", "--checkpoint", self.best, "--split", "dve", names=["dve", "dev"])
        part = self.place / "part.tsv"
        write_table(part, ["text", "label"], [("a", "good"), ("b", ""), ("c", "bad"), ("d", "")])
        self.fails("eval", "--checkpoint", self.best, "--split", "test", "--set", f"task.test={part}",
                   names=["2 of the 4 examples of the split test have no label, example 2 is the first"])

    def test_input_that_cannot_be_read(self):
        self.fails("predict", "--checkpoint", self.best, "--input", "nowhere.txt", names=["nowhere.txt"])
        self.fails("predict", "--checkpoint", self.best, "--input", self.place, names=[self.place])
        file = self.place / "lines.jsonl"
        file.write_text('{"text": "fine"}\n{"txt": "not"}\n')
        self.fails("predict", "--checkpoint", self.best, "--input", file, names=[f"{file}:2", "text"])
        file.write_text('{"text": "fine"}\nnot json\n')
        self.fails("predict", "--checkpoint", self.best, "--input", file, names=[f"{file}:2"])
        self.fails("inspect", "nowhere", names=["nowhere"])
        state = self.copy(self.best, "other-state") / "state.json"
        for wrong in ("{}", "[]", "3", '{"step": 1, "fingerprint": 2}'):
            state.write_text(wrong)
            self.fails("eval", "--checkpoint", state.parent, names=[state.parent])
            if wrong.find("step") < 0:
                self.fails("inspect", state.parent, names=[state, "not the state of a run"])
        begun = self.place / "begun"
        begun.mkdir()
        (begun / "config.json").write_text('{ "train')
        self.fails("inspect", begun, names=[f"{begun / 'config.json'}:1", "not valid JSON"])
        told = self.fails("inspect", self.data, names=[self.data, "neither a model, a checkpoint nor a run", "config.json"])
        self.assertNotIn("minilm", told.err)
        self.fails("inspect", self.data / "dev.tsv", names=["dev.tsv"])
        self.fails("inspect", self.data / "dev.tsv", "--json", names=["dev.tsv"])

    # the place to write to

    def test_a_place_that_cannot_be_written(self):
        file = write_json(self.place / "c.json", self.base)
        plain = self.place / "plain"
        plain.write_text("a file")
        self.fails("train", "--config", file, "--out", plain / "run", names=[plain])
        self.fails("train", "--config", file, "--out", plain, names=[plain])
        self.fails("train", "--config", file, "--out", "/proc/run", names=["/proc/run"])
        self.fails("train", "--config", file, "--out", self.place / ("x" * 300), names=["x" * 300, "too long"])
        self.assertEqual(plain.read_text(), "a file")

    def test_results_that_cannot_be_written_are_an_error(self):
        for command in (["eval", "--checkpoint", self.best, "--json"], ["describe", "config"], ["inspect", self.best],
                        ["predict", "--checkpoint", self.best]):
            with self.subTest(command=command[0]), open("/dev/full", "w") as full:
                done = subprocess.run([support.PROGRAM, *map(str, command)], input=b"a film\n", stdout=full,
                                      stderr=subprocess.PIPE)
                self.assertEqual(done.returncode, 1)
                self.assertIn(b"No space left", done.stderr)


if __name__ == "__main__":
    main()
