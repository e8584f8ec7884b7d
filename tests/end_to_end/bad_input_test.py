"""Whatever is wrong with what the user gives: one clear message that names it, exit code 1, nothing half-written."""

import json
import os
import shutil
import subprocess

import support
from support import SharedCase, bert_model, config, main, read_safetensors, sentiment, write_json, write_table


class BadInput(SharedCase):
    def setUp(self):
        super().setUp()
        self.model, self.data, self.best = self.place / "model", self.place / "data", self.place / "run" / "best"
        self.base = config(self.model, self.data, train={"epochs": 1})
        self.out = self.place / self.id().rsplit(".")[-1]

    def prepare(self):
        model, data = bert_model(self.place / "model"), sentiment(self.place / "data", train=48, dev=16)
        self.train("run", config(model, data, train={"epochs": 1}))

    def tearDown(self):
        self.assertFalse(self.out.exists(), "a run's folder was made")

    def copy(self, folder, name):
        copy = self.place / name
        shutil.copytree(folder, copy)
        self.addCleanup(shutil.rmtree, copy)
        return copy

    def refused(self, *names, config=None, sets=(), **options):
        """Training with that configuration fails, naming all of `names`."""
        file = write_json(self.place / "c.json", config or self.base)
        given = [part for s in sets for part in ("--set", s)]
        return self.fails("train", "--config", file, "--out", self.out, *given, names=names, **options)

    def data_with(self, name, content, split="train.tsv"):
        """The data set with one file replaced."""
        data = self.copy(self.data, name)
        (data / split).write_bytes(content if isinstance(content, bytes) else content.encode())
        return {**self.base, "task": {**self.base["task"], "data": str(data)}}

    def model_with(self, name, **files):
        model = self.copy(self.model, name)
        for file, content in files.items():
            (model / file.replace("__", ".")).write_bytes(content)
        return {**self.base, "model": {"path": str(model)}}

    # the configuration

    def test_an_unknown_key_names_the_nearest(self):
        self.refused("/train/epoch", "epochs", sets=["train.epoch=3"])
        self.refused("/adapter/method", "dorp", "dropout", sets=["adapter.method.dorpout=0.1"])

    def test_several_problems_come_at_once(self):
        self.refused("/train/epochs", "/train/seed", "/model/pth", "/optimizer/name", "adamw",
                     sets=["train.epochs=0", "train.seed=true", "model.pth=x", "optimizer.name=adam"])

    def test_wrong_types_and_values(self):
        for name, value in (("train.epochs", '"three"'), ("train.batch_size", "2.5"), ("adapter.targets", "7"),
                            ("train.dtype", "fp16"), ("task", "3"), ("adapter.method.rank", "-1"),
                            ("model.dropout", "1.0"), ("train.best_by", "f2"), ("optimizer.lr", "-1"),
                            ("train.threads", "0"), ("train.threads", "100000")):
            with self.subTest(option=name):
                self.refused("/" + name.replace(".", "/"), sets=[f"{name}={value}"])

    def test_a_missing_or_broken_configuration(self):
        self.fails("train", "--config", "nowhere.json", "--out", self.out, names=["nowhere.json"])
        broken = self.place / "broken.json"
        broken.write_text('{"task": {\n  "name": text\n}}')
        self.fails("train", "--config", broken, "--out", self.out, names=[f"{broken}:2"])
        broken.write_text("[]")
        self.fails("train", "--config", broken, "--out", self.out, names=[broken])
        broken.write_bytes(b'{"task": "\xff"}')
        self.fails("train", "--config", broken, "--out", self.out, names=[broken])
        self.fails("train", "--config", self.place, "--out", self.out, names=[self.place])
        loop = self.place / "loop"
        loop.symlink_to("loop")
        self.addCleanup(loop.unlink)
        self.fails("train", "--config", loop, "--out", self.out, names=[f"error: {loop}: Too many levels"])
        file = write_json(broken, self.base)
        self.fails("train", "--config", file, "--set", "adapter.method={'name': 'lora'}", "--out", self.out, code=2,
                   names=["--set adapter.method={'name': 'lora'}", "not valid JSON"])
        self.fails("train", "--config", file, "--set", "nonsense", "--out", self.out, code=2,
                   names=["--set nonsense", "PATH=VALUE"])

    def test_numbers_beyond_all_reason(self):
        self.refused("memory", sets=["adapter.method.rank=100000000000"])
        self.refused("/train/epochs", sets=["train.epochs=9223372036854775807"])
        self.refused("/train/seed", "more than", sets=["train.seed=18446744073709551615"])
        self.refused("/schedule/warmup_steps", "3", sets=["schedule.warmup_steps=100"])

    def test_metrics_are_checked_before_training(self):
        self.refused("nope", "accuracy", sets=['task.metrics=["nope"]'])
        self.refused("pearson", sets=['task.metrics=["pearson"]'])
        self.refused("accuracy", sets=["task.kind=regression", 'task.metrics=["accuracy"]'])

    def test_label_smoothing_of_a_regression_is_refused(self):
        changed = self.data_with("scores", "text\tlabel\na good film\t0.9\na bad film\t0.1\n")
        changed["task"] |= {"kind": "regression", "dev": "train.tsv"}
        self.refused("/train/label_smoothing", "0.1", "regression", config=changed, sets=["train.label_smoothing=0.1"])
        stsb = {**self.base, "task": {"name": "stsb", "data": str(support.SOURCE / "data" / "samples" / "stsb")}}
        self.refused("/train/label_smoothing", "stsb", config=stsb, sets=["train.label_smoothing=0.1"])
        self.train("scores_run", changed)  # 0 is the default

    def test_cuda_without_a_device_is_refused(self):
        self.refused("/train/device", '"cpu"', sets=["train.device=cuda"], environment={"CUDA_VISIBLE_DEVICES": ""})

    def test_a_target_that_matches_nothing_lists_what_there_is(self):
        self.refused("/adapter/targets", "qeury", "attention.self.query", sets=['adapter.targets=["qeury"]'])
        self.refused("/adapter/targets", sets=["adapter.targets=[]"])
        self.refused("/adapter/trainable", "pooler.nothing", sets=['adapter.trainable=["pooler.nothing"]'])

    def test_more_tokens_than_the_model_takes(self):
        self.refused("/train/max_length", "65", "64", sets=["train.max_length=65"])

    def test_fewer_tokens_than_the_special_ones_of_a_pair(self):
        pairs = {**self.base, "task": {"name": "mrpc", "data": str(support.SOURCE / "data" / "samples" / "mrpc")}}
        self.refused("train.max_length", "2 tokens", "special tokens", "3", config=pairs, sets=["train.max_length=2"])

    def test_a_current_folder_that_is_not_utf8(self):
        folder = os.path.join(os.fsencode(self.place), b"caf\xe9")
        os.mkdir(folder)
        self.addCleanup(shutil.rmtree, folder)
        os.symlink(self.model, os.path.join(folder, b"model"))
        self.refused("the current folder's path is not UTF-8", config={**self.base, "model": {"path": "model"}}, cwd=folder)
        self.fails("train", "--config", self.place / "c.json", "--out", "run", cwd=folder, names=["is not UTF-8"])
        self.assertEqual(os.listdir(folder), [b"model"])

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
        self.assertEqual(found["tensors"], json.loads(self.succeeds("inspect", folder / "a.gguf", "--json").out)["tensors"])
        self.assertIn("llama", self.succeeds("inspect", folder).out)
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
        self.fails("eval", "--checkpoint", broken, "--set", "adapter.method.rank=2",
                   names=[adapter, "query.lora_A", "[4, 64]", "[2, 64]"])
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
        told = self.fails("inspect", self.data, names=[self.data, "neither a model, a checkpoint nor a run", "config.json"])
        self.assertNotIn("minilm", told.err)
        self.fails("inspect", self.data / "dev.tsv", names=["dev.tsv"])
        self.fails("inspect", self.data / "dev.tsv", "--json", names=["dev.tsv"])

    # the place to write to, and the command line

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

    def test_a_wrong_command_line_is_exit_code_2(self):
        for wrong in ([], ["trian"], ["train"], ["train", "--config"], ["eval", "--chekpoint", "x"], ["inspect"],
                      ["describe", "methods", "more"], ["bench", "--config", "c.json", "--steps", "many"]):
            with self.subTest(arguments=wrong):
                result = self.fails(*wrong, code=2)
                self.assertTrue(result.err)
                self.assertEqual(result.out, "")

    def test_a_mistyped_word_comes_before_what_is_missing_for_want_of_it(self):
        for wrong, wanted in (("train --confg my.json", 'mtlora train: unknown option "--confg"; did you mean "--config"?'),
                              ("train --confg=my.json", 'mtlora train: unknown option "--confg"; did you mean "--config"?'),
                              ("train --config my.json --resmue", 'mtlora train: unknown option "--resmue"; did you mean'),
                              ("trian", 'unknown command "trian"; did you mean "train"?'),
                              ("trian --config my.json", 'unknown command "trian"; did you mean "train"?'),
                              ("describe methods more", 'mtlora describe: unexpected argument "more"')):
            with self.subTest(arguments=wrong):
                err = self.fails(*wrong.split(), code=2, names=[wanted]).err
                self.assertEqual(err.count("\n"), 2, err)  # it, and how to get help
                self.assertNotIn("is required", err)
        self.fails("train", "--confg", "x", "--rseume", "y", "z", code=2, names=["--config", "--resume", '"z"'])


if __name__ == "__main__":
    main()
