"""Training learns, and what it leaves behind is what it says: every method, every kind of task."""

import json
import random

from support import (Case, TrainedCase, bert_model, config, events, main, read_safetensors, roberta_model, sentence,
                     sentiment, snapshot, write_json, write_table)

METHODS = {
    "lora": {"name": "lora", "rank": 4, "alpha": 8},
    **{s: {"name": "mtlora", "structure": s, "rank": 4, "alpha": 8} for s in ("shim", "icfm", "ctcm", "dtsm")},
    "dora": {"name": "dora", "rank": 4, "alpha": 8},
    "lora_mini": {"name": "lora_mini", "rank": 8, "a": 32, "b": 32, "alpha": 32},
    "hta": {"name": "hta", "rank": 4},
    "adalora": {"name": "adalora", "rank": 8, "target_rank": 4, "alpha": 32},
    "rm_lora": {"name": "rm_lora", "rank": 4, "alpha": 8},
    "bitfit": {"name": "bitfit"},
    "full": {"name": "full"},
    "houlsby": {"name": "houlsby", "bottleneck": 8},
    "pfeiffer": {"name": "pfeiffer", "bottleneck": 8},
    "xgblora": {"name": "xgblora", "boosters": 3, "sampled_layers": 1, "rank": 4, "scale": 2},
    **{f"mora-{t}": {"name": "mora", "rank": 4, "type": t} for t in ("1", "6")},
    "remora": {"name": "mora", "rank": 4, "restart_steps": 18, "cycle": "1-2-3-4", "restart_warmup": 3},
    "lorta": {"name": "lorta", "rank": 8},
    "deep_lora": {"name": "deep_lora", "rank": 8},
    "deep_lora-compressed": {"name": "deep_lora", "rank": 8, "compressed": True},
}
CHECKPOINT = {"config.json", "adapter.safetensors", "state.safetensors", "state.json", "vocab.txt"}


def full(model, data, task=None):
    """Trains every tensor: what needs the fewest steps."""
    return config(model, data, task=task or {}, adapter={"method": {"name": "full"}}, optimizer={"lr": 1e-3})


class Learns(Case):
    def setUp(self):
        super().setUp()
        self.model = bert_model(self.place / "model")
        self.data = sentiment(self.place / "data")

    def test_every_method_learns(self):
        known = json.loads(self.succeeds("describe", "methods", "--json").out)
        self.assertEqual({m["name"] for m in known}, {m["name"] for m in METHODS.values()})
        for name, method in METHODS.items():
            with self.subTest(method=name):
                if name == "full":
                    run = self.train(name, full(self.model, self.data))
                else:
                    run = self.train(name, config(self.model, self.data, adapter={"method": method}))
                result = json.loads((run / "result.json").read_text())
                # 64 sentences: guessing passes 0.8 once in 600 000 times
                self.assertGreater(result["metrics"]["accuracy"], 0.8)
                losses = [e["loss"] for e in events(run, "train")]
                self.assertLess(losses[-1], 0.8 * losses[0])

    def test_what_is_no_linear_map_is_not_exported(self):
        method = {"name": "pfeiffer", "bottleneck": 8}
        run = self.train("run", config(self.model, self.data, adapter={"method": method}, train={"max_steps": 2}))
        self.fails("export", "--checkpoint", run / "last", "--out", self.place / "out", names=["cannot be merged"])
        self.assertFalse((self.place / "out").exists())
        scores = self.succeeds("eval", "--checkpoint", run / "last", "--json").out
        wanted = json.loads((run / "result.json").read_text())["last"]["metrics"]
        self.assertEqual(json.loads(scores)["loss"], wanted["loss"])

    def test_roberta_learns_as_well(self):
        model = roberta_model(self.place / "roberta")
        run = self.train("run", config(model, self.data))
        self.assertGreater(json.loads((run / "result.json").read_text())["metrics"]["accuracy"], 0.8)
        self.assertTrue((run / "best" / "merges.txt").is_file())

    def test_the_log_has_what_was_said_before_there_was_a_folder(self):
        rows = (self.data / "train.tsv").read_text().rstrip("\n").split("\n")
        (self.data / "train.tsv").write_text("\n".join([*rows, "a row of one cell"]) + "\n")
        file = write_json(self.place / "c.json", config(self.model, self.data, task={"max_malformed": 1},
                                                        train={"max_steps": 1, "max_length": 6}))
        told = self.succeeds("train", "--config", file, "--out", self.place / "run").err
        logged = (self.place / "run" / "log.txt").read_text()
        for name in ("malformed rows of train", "of train are longer than 6 tokens"):
            self.assertEqual(told.count(name), 1, told)
            self.assertEqual(logged.count(name), 1, logged)

    def test_bench_counts_the_steps_of_the_run(self):
        file = write_json(self.place / "c.json", config(self.model, self.data, train={"accumulate": 2, "batch_size": 4}))
        told = json.loads(self.succeeds("bench", "--config", file, "--steps", 4, "--json").out)
        self.assertAlmostEqual(told["examples_per_second"] / told["steps_per_second"], 2 * 4)

    def test_bf16_learns(self):
        run = self.train("run", config(self.model, self.data, train={"dtype": "bf16"}))
        result = json.loads((run / "result.json").read_text())
        self.assertGreater(result["metrics"]["accuracy"], 0.8)
        self.assertEqual(result["environment"]["dtype"], "bf16")

    def test_a_pair_task_runs(self):
        choose = random.Random(5)
        data = self.place / "pairs"
        data.mkdir()
        for split, count in (("train", 96), ("dev", 32)):
            rows = [(sentence(word, choose), sentence("film", choose), mark)
                    for mark, word in [(0, "bad"), (1, "good")] * (count // 2)]
            write_table(data / f"{split}.tsv", ["first", "second", "mark"], rows)
        task = {"text": "first", "text_pair": "second", "label": "mark"}
        run = self.train("run", full(self.model, data, task))
        self.assertEqual(json.loads((run / "config.json").read_text())["task"]["labels"], ["0", "1"])
        self.assertGreater(json.loads((run / "result.json").read_text())["metrics"]["accuracy"], 0.8)
        out = self.succeeds("predict", "--checkpoint", run / "best", stdin="good\tfilm\nbad\tfilm\n").out
        self.assertEqual(len(out.splitlines()), 2)
        self.fails("predict", "--checkpoint", run / "best", stdin="no tab here\n", names=["stdin:1", "tab"])

    def test_a_regression_runs(self):
        choose = random.Random(6)
        data = self.place / "scores"
        data.mkdir()
        for split, count in (("train", 128), ("dev", 48)):
            rows = [{"text": sentence(word, choose), "label": score}
                    for score, word in [(-1.0, "bad"), (1.0, "good")] * (count // 2)]
            (data / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        run = self.train("run", full(self.model, data, {"kind": "regression"}))
        result = json.loads((run / "result.json").read_text())
        self.assertGreater(result["metrics"]["pearson"], 0.6)
        self.assertEqual(set(result["metrics"]), {"pearson_spearman", "pearson", "spearman", "loss"})
        line = json.loads(self.succeeds("predict", "--checkpoint", run / "best", stdin="good film\n").out)
        self.assertEqual(list(line), ["value"])

    def test_a_metric_that_is_never_defined_is_told(self):
        data = self.place / "constant"
        data.mkdir()
        for split in ("train", "dev"):
            write_table(data / f"{split}.tsv", ["text", "label"], [("a film", "1.5"), ("a good film", "1.5")] * 8)
        settings = config(self.model, data, task={"kind": "regression"}, train={"epochs": 2})
        told = "pearson_spearman was undefined in every evaluation"
        for changes, is_told in (({}, True), ({"best_by": "loss"}, False)):
            file = write_json(self.place / "constant.json", {**settings, "train": {**settings["train"], **changes}})
            result = self.succeeds("train", "--config", file, "--out", self.place / f"run-{is_told}")
            self.assertEqual(told in result.err, is_told, result.err)


class Run(TrainedCase):
    """One run, looked at from all sides."""

    def test_the_folder_holds_what_is_documented(self):
        run = self.run_folder
        self.assertEqual({p.name for p in run.iterdir()},
                         {"config.json", "metrics.jsonl", "result.json", "log.txt", "best", "last"})
        for name in ("best", "last"):
            self.assertEqual({p.name for p in (run / name).iterdir()}, CHECKPOINT)
        resolved = json.loads((run / "config.json").read_text())
        self.assertEqual(resolved["task"]["labels"], ["bad", "good"])
        self.assertEqual(resolved["train"]["accumulate"], 1)
        self.assertEqual(resolved["model"]["path"], str(self.model))
        self.assertEqual({e["event"] for e in events(run)}, {"train", "eval", "checkpoint"})
        result = json.loads((run / "result.json").read_text())
        for key in ("metrics", "best", "last", "seconds", "steps", "examples_per_second", "environment", "data",
                    "trained_parameters"):
            self.assertIn(key, result)
        tensors, _ = read_safetensors(run / "best" / "adapter.safetensors")
        self.assertTrue(all(dtype == "F32" for dtype, _, _ in tensors.values()))
        count = sum(len(content) // 4 for _, _, content in tensors.values())
        self.assertEqual(count, result["trained_parameters"])
        self.assertIn("classifier.weight", tensors)

    def test_eval_prints_the_numbers_of_the_run(self):
        result = json.loads((self.run_folder / "result.json").read_text())
        evaluations = events(self.run_folder, "eval")
        for kind, step in (("best", result["best"]["step"]), ("last", result["steps"])):
            wanted = next(e for e in evaluations if e["step"] == step)
            out = self.succeeds("eval", "--checkpoint", self.run_folder / kind, "--json",
                                cwd=self.place / "elsewhere").out
            self.assertEqual(json.loads(out), {k: wanted[k] for k in ("metrics", "loss", "examples")})
            self.assertEqual(len(out.splitlines()), 1)
        self.assertEqual(result["best"]["metrics"]["accuracy"], max(e["metrics"]["accuracy"] for e in evaluations))
        people = self.succeeds("eval", "--checkpoint", "best", cwd=self.run_folder).out
        self.assertIn("accuracy", people)

    def test_the_classes_of_a_split_are_shown_with_their_counts(self):
        log = (self.run_folder / "log.txt").read_text()
        self.assertIn("train: 192 examples: bad 96, good 96\n", log)
        self.assertIn("dev: 64 examples: bad 32, good 32\n", log)

    def test_reading_a_run_changes_nothing_in_it(self):
        before = snapshot(self.run_folder)
        for command in (["eval", "--checkpoint", "best"], ["inspect", "."], ["inspect", "last", "--json"]):
            self.succeeds(*command, cwd=self.run_folder)
        self.assertEqual(snapshot(self.run_folder), before)

    def test_the_same_run_again_gives_the_same_bytes(self):
        again = self.train("again", config("model", "data"), cwd=self.place)
        for name in ("metrics.jsonl", "best/adapter.safetensors", "last/state.safetensors"):
            self.assertEqual((again / name).read_bytes(), (self.run_folder / name).read_bytes(), name)

    def test_without_out_the_folder_is_named_after_the_config(self):
        (self.place / "mine.json").write_text(json.dumps(config("model", "data", train={"max_steps": 1})))
        out = self.succeeds("train", "--config", "mine.json", cwd=self.place).out
        self.assertTrue((self.place / "runs" / "mine" / "result.json").is_file())
        self.assertIn("runs/mine", out)

    def test_inspect_shows_all_four_kinds(self):
        kinds = {"run": self.run_folder, "checkpoint": self.run_folder / "best", "model": self.model,
                 "weights": self.model / "model.safetensors"}
        for kind, path in kinds.items():
            with self.subTest(kind=kind):
                shown = json.loads(self.succeeds("inspect", path, "--json").out)
                self.assertEqual(shown["kind"], kind)
                self.assertIn(kind, self.succeeds("inspect", path).out)
        shown = json.loads(self.succeeds("inspect", self.run_folder / "best", "--json").out)
        tensors, _ = read_safetensors(self.run_folder / "best" / "adapter.safetensors")
        self.assertEqual({t["name"]: t["shape"] for t in shown["tensors"]},
                         {name: shape for name, (_, shape, _) in tensors.items()})
        self.assertEqual(shown["parameters"], sum(len(content) // 4 for _, _, content in tensors.values()))


if __name__ == "__main__":
    main()
