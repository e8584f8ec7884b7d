"""plan: what it says of a run is what the run then is, and it leaves nothing behind."""

import json
import re
import struct

from gpt2 import SAMPLES, gpt2_model, writing
from support import SharedCase, bert_model, config, events, main, sentiment, write_json, write_table


def tensors(file):
    """Shapes of a safetensors file."""
    with open(file, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    return {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}


def numbers(shape):
    count = 1
    for size in shape:
        count *= size
    return count


class Plan(SharedCase):
    def prepare(self):
        bert_model(self.place / "model")
        sentiment(self.place / "data")

    def settings(self, data="data", **changes):
        return config(self.place / "model", self.place / data, **changes)

    def plan(self, configuration, *arguments):
        file = write_json(self.place / "plan.json", configuration)
        return json.loads(self.succeeds("plan", "--config", file, *arguments, "--json", cwd=self.place).out)

    def test_the_run_is_as_planned(self):
        method = {"name": "lora", "rank": 4, "rank_pattern": {"value": 3}}
        settings = self.settings(adapter={"method": method}, train={"epochs": 3, "accumulate": 5, "evaluate_every_steps": 4})
        plan = self.plan(settings)
        run = self.train("run", settings)
        result = json.loads((run / "result.json").read_text())
        self.assertEqual(plan["steps"], result["steps"])
        self.assertEqual((plan["steps_per_epoch"], plan["examples_per_step"]), (3, 80))
        happened = events(run)
        self.assertEqual(plan["evaluations"], len([e for e in happened if e["event"] == "eval"]))
        trained = tensors(run / "last" / "adapter.safetensors")
        self.assertEqual(plan["parameters"]["trained"], sum(numbers(shape) for shape in trained.values()))
        files = sum(file.stat().st_size for file in (run / "last").iterdir())
        self.assertLess(plan["checkpoint_bytes"], files)
        self.assertLess(files - plan["checkpoint_bytes"], 32768)  # headers, config.json, state.json
        log = (run / "log.txt").read_text()
        self.assertIn(f"{plan['data']['train']['examples']} examples, {plan['data']['train']['tokens']} tokens", log)
        seconds = plan["seconds"]
        self.assertGreater(seconds["training"], 0)
        self.assertAlmostEqual(seconds["all"], seconds["training"] + plan["evaluations"] * seconds["evaluation"])

    def test_the_largest_batch_is_found_and_computed(self):
        data = self.place / "uneven"
        data.mkdir()
        rows = [("good a", "good"), ("bad a", "bad")] * 10
        rows[7] = ("bad " + "film " * 60, "bad")
        for split in ("train", "dev"):
            write_table(data / f"{split}.tsv", ["text", "label"], rows)
        one = self.settings("uneven", train={"batch_size": 1, "epochs": 1, "max_length": 40})
        plan = self.plan(one)
        self.assertEqual(plan["largest_batch"]["tokens"], 40)
        self.assertEqual(plan["data"]["train"]["longest"], 40)
        self.assertEqual((plan["data"]["train"]["cut"], plan["data"]["dev"]["cut"]), (1, 1))
        self.assertEqual(plan["data"]["train"]["tokens"], 19 * 4 + 40)  # [CLS], two words, [SEP]
        self.assertIn(plan["largest_batch"]["step"], range(20))
        all_of_them = self.plan(self.settings("uneven", train={"batch_size": 20, "epochs": 1, "max_length": 40}))
        self.assertEqual(all_of_them["largest_batch"], {"step": 0, "tokens": 19 * 4 + 40})
        self.assertGreater(all_of_them["peak_memory_bytes"], 2**20)

    def test_nothing_is_left_behind(self):
        file = write_json(self.place / "plan.json", self.settings())
        before = sorted(self.place.rglob("*"))
        text = self.succeeds("plan", "--config", file, cwd=self.place).out
        self.assertEqual(sorted(self.place.rglob("*")), before)
        for wanted in (r"^trained .*%", r"^train +192 examples", r"^dev +64 examples", r"^steps +72 of 16 examples, 12 an epoch",
                       r"^(GPU )?memory .* MiB", r"^checkpoint .* KiB", r"^time +about "):
            self.assertRegex(text, re.compile(wanted, re.MULTILINE))

    def test_every_kind_of_run_can_be_planned(self):
        for changes in ({"optimizer": {"name": "zo_sgd", "lr": 1e-4}}, {"optimizer": {"name": "forward_grad", "lr": 1e-4}},
                        {"adapter": {"targets": ["query", "value"], "method": {"name": "adalora"}}},
                        {"adapter": {"method": {"name": "bitfit"}}},
                        {"adapter": {"targets": ["query", "value"], "method": {"name": "deep_lora"}}},
                        {"train": {"max_steps": 1}}):
            with self.subTest(changes=changes):
                settings = self.settings()
                for section, change in changes.items():
                    settings[section] = change if section != "train" else {**settings[section], **change}
                plan = self.plan(settings)
                self.assertEqual(plan["evaluations"], 1 if "train" in changes else 6)
                self.assertGreater(plan["seconds"]["all"], 0)

    def test_a_run_of_any_length_is_planned_at_once(self):
        plan = self.plan(self.settings(train={"max_steps": 10**12, "patience": 2, "evaluate_every_steps": 10**11}))
        self.assertEqual((plan["steps"], plan["evaluations"], plan["patience"]), (10**12, 10, 2))

    def test_without_a_dev_set_nothing_is_evaluated(self):
        data = self.place / "train_alone"
        data.mkdir()
        (data / "train.tsv").write_bytes((self.place / "data" / "train.tsv").read_bytes())
        plan = self.plan(self.settings("train_alone"))
        self.assertEqual((plan["evaluations"], plan["seconds"]["evaluation"]), (0, 0))
        self.assertAlmostEqual(plan["seconds"]["all"], plan["seconds"]["training"])

    def test_texts_at_the_end_are_counted(self):
        plan = self.plan(writing(gpt2_model(self.place / "gpt2"), SAMPLES / "webnlg", "webnlg"))
        self.assertEqual(plan["texts"], 3)
        self.assertGreater(plan["seconds"]["writing"], 0)
        self.assertGreaterEqual(plan["seconds"]["all"], plan["seconds"]["writing"])

    def test_what_train_refuses_is_refused(self):
        for changes, named in (({"best_by": "bleu"}, "/train/best_by"), ({"epochs": 0}, "/train/epochs"),
                               ({"skip_bad_steps": 1}, "/train/skip_bad_steps"), ({"accumulate": 2 * 10**18}, "/train/accumulate")):
            with self.subTest(changes=changes):
                settings = self.settings(train=changes)
                if "skip_bad_steps" in changes:
                    settings["optimizer"] = {"name": "zo_sgd", "lr": 1e-4}
                self.fails("plan", "--config", write_json(self.place / "wrong.json", settings), names=[named])


if __name__ == "__main__":
    main()
