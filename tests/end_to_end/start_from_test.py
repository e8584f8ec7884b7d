"""Adapters that go on from another task's, and micro-batches that add up to a batch."""

import json

from support import Case, bert_model, config, events, main, read_safetensors, sentiment

THREE = {"a": "film", "b": "house", "c": "scene"}


class StartFrom(Case):
    def setUp(self):
        super().setUp()
        self.model = bert_model(self.place / "model")
        self.first_data = sentiment(self.place / "first-data")
        self.second_data = sentiment(self.place / "second-data", kinds=THREE)
        self.first = self.train("first", config(self.model, self.first_data, train={"epochs": 2}))

    def adapter(self, run, kind):
        tensors, _ = read_safetensors(run / kind / "adapter.safetensors")
        return tensors

    def test_an_adapter_goes_on_on_another_task_with_a_new_head(self):
        # with a learning rate of 0 what is saved is what it started from
        still = config(self.model, self.second_data, adapter={"start_from": str(self.first / "best")},
                       optimizer={"lr": 0.0}, train={"max_steps": 1})
        run = self.train("still", still)
        before, after = self.adapter(self.first, "best"), self.adapter(run, "last")
        self.assertEqual(set(before), set(after))
        names = [name for name in after if not name.startswith("classifier.")]
        self.assertEqual(len(names), 8)
        for name in names:
            self.assertEqual(after[name], before[name])
        self.assertEqual(after["classifier.weight"][1], [3, 64])
        self.assertEqual(before["classifier.weight"][1], [2, 64])

    def test_the_second_task_is_learnt_and_needs_the_first_no_more(self):
        run = self.train("second", config(self.model, self.second_data, train={"epochs": 8},
                                          adapter={"start_from": "first/best"}), cwd=self.place)
        self.assertGreater(json.loads((run / "result.json").read_text())["metrics"]["accuracy"], 0.6)
        (self.first / "best").rename(self.place / "gone")
        out = self.succeeds("eval", "--checkpoint", run / "best", "--json").out
        best = json.loads((run / "result.json").read_text())["best"]["step"]
        wanted = next(e for e in events(run, "eval") if e["step"] == best)
        self.assertEqual(json.loads(out)["loss"], wanted["loss"])

    def test_other_methods_adapters_go_on_too(self):
        for name, method in {"mtlora": {"name": "mtlora", "rank": 4, "structure": "ctcm"},
                             "adalora": {"name": "adalora", "rank": 3, "target_rank": 3},
                             "dora": {"name": "dora", "rank": 4}}.items():
            with self.subTest(method=name):
                first = self.train(f"{name}-first", config(self.model, self.first_data, adapter={"method": method},
                                                           train={"max_steps": 8}))
                still = config(self.model, self.second_data, optimizer={"lr": 0.0}, train={"max_steps": 1},
                               adapter={"method": method, "start_from": str(first / "last")})
                before, after = self.adapter(first, "last"), self.adapter(self.train(name, still), "last")
                self.assertEqual(set(before), set(after))
                for tensor in after:
                    if not tensor.startswith("classifier."):
                        self.assertEqual(after[tensor], before[tensor], tensor)

    def test_a_run_is_resumed_without_what_it_started_from(self):
        second = config(self.model, self.second_data, train={"epochs": 1}, adapter={"start_from": "first/best"})
        run = self.train("second", second, cwd=self.place)
        told = json.loads((run / "result.json").read_text())
        (run / "result.json").unlink()  # as if it had been killed at its end
        (self.first / "best").rename(self.place / "gone")
        self.train("second", second, "--resume", cwd=self.place)
        self.assertEqual(json.loads((run / "result.json").read_text())["metrics"], told["metrics"])
        file = self.place / "second.json"
        self.fails("train", "--config", file, "--out", self.place / "third", cwd=self.place, names=["first/best"])

    def test_another_form_of_adapter_is_refused_and_nothing_is_left_behind(self):
        file = self.place / "other.json"
        lora = {"name": "lora", "rank": 4, "alpha": 8}
        for method, targets, name in (({**lora, "rank": 8}, ["query", "value"], "/adapter/method/rank: 4 there, 8"),
                                      ({**lora, "name": "mtlora"}, ["query", "value"], "lora there, mtlora now"),
                                      (lora, ["query", "key"], "key.lora_A: missing")):
            file.write_text(json.dumps(config(
                self.model, self.second_data,
                adapter={"targets": targets, "method": method, "start_from": str(self.first / "best")})))
            self.fails("train", "--config", file, "--out", self.place / "other", names=[self.first / "best", name])
            self.assertFalse((self.place / "other").exists())


class Accumulation(Case):
    def test_micro_batches_add_up_to_a_batch(self):
        # Deep LoRA's compressed form starts from the first step's gradient
        for method, lr in (({"name": "lora", "rank": 4, "alpha": 8}, 1e-3),
                           ({"name": "deep_lora", "compressed": True, "rank": 4}, 3e-2)):
            with self.subTest(method=method["name"]):
                self.check(method, lr)

    def check(self, method, lr):
        place = self.place / method["name"]
        model, data = bert_model(place / "model"), sentiment(place / "data")
        sizes = {"one": (8, 1), "two": (4, 2), "eight": (1, 8)}
        losses = {}
        for name, (batch_size, accumulate) in sizes.items():
            train = {"batch_size": batch_size, "accumulate": accumulate, "max_steps": 30, "log_every_steps": 1,
                     "evaluate_every_steps": 10}
            # few steps at a low rate: later steps multiply the rounding of earlier ones
            run = self.train(f"{method['name']}-{name}", config(
                model, data, model={"dropout": 0.1}, adapter={"method": method}, optimizer={"lr": lr}, train=train))
            losses[name] = [e["loss"] for e in events(run) if "loss" in e]
        self.assertEqual(len(losses["one"]), 33)
        for name in ("two", "eight"):
            self.assertEqual(len(losses[name]), 33)
            for a, b in zip(losses["one"], losses[name]):
                self.assertAlmostEqual(a, b, delta=1e-5)


if __name__ == "__main__":
    main()
