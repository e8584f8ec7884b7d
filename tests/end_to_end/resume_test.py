"""A run that is killed or stopped and resumed ends in the very bytes of one that was never disturbed."""

import json
import os
import random
import signal
import struct
import time

from support import Case, SAME, bert_model, config, main, read_safetensors, sentiment, start, write_json


class Resume(Case):
    def setUp(self):
        super().setUp()
        self.method = {"name": "mtlora", "structure": "dtsm", "rank": 4, "dropout": 0.1}
        seed = int(os.environ.get("MTLORA_TEST_SEED", random.randrange(10**6)))
        self.random = random.Random(seed)
        self.told = f"MTLORA_TEST_SEED={seed} chooses the same moments again"
        print(self.told, flush=True)
        self.model = bert_model(self.place / "model")
        self.data = sentiment(self.place / "data", train=200)  # 12.5 batches an epoch, 7 steps of two

    def configuration(self, method=None, optimizer=None, **train):
        method = method or {"name": "mtlora", "structure": "dtsm", "rank": 4, "dropout": 0.1}
        return config(self.model, self.data, model={"dropout": 0.1}, adapter={"method": method},
                      optimizer=optimizer or {},
                      train={"accumulate": 2, "batch_size": 16, "epochs": 8, "save_every_steps": 3,
                             "evaluate_every_steps": 5, "log_every_steps": 2, **train})

    def assert_same(self, a, b):
        for name in SAME:
            self.assertTrue((a / name).read_bytes() == (b / name).read_bytes(), f"{name} differs; {self.told}")

    def interrupted(self, out, arguments, signals, whole):
        """Starts, disturbs and resumes until the run ends by itself; the exit codes of the disturbed starts."""
        codes = []
        size = (whole / "metrics.jsonl").stat().st_size
        for share in sorted(self.random.uniform(0, 0.9) for _ in signals):
            process = start(*arguments, "--resume-or-start")
            # waits until so much is written as belongs to that share of the run, and then a moment of any length
            while process.poll() is None and not self.has_written(out, share * size):
                time.sleep(0.001)
            time.sleep(self.random.uniform(0, 0.02))
            process.send_signal(signals[len(codes)])
            codes.append(process.wait(60))
        self.succeeds(*arguments, "--resume")
        return codes

    @staticmethod
    def has_written(out, size):
        metrics = out / "metrics.jsonl"
        return metrics.exists() and metrics.stat().st_size >= size

    def arguments(self, name, configuration):
        file = write_json(self.place / f"{name}.json", configuration)
        return ["train", "--config", file, "--out", self.place / name]

    def check_kills(self, name="run", kills=5, **changes):
        whole = self.train(f"{name}-whole", self.configuration(**changes))
        self.assertEqual(json.loads((whole / "result.json").read_text())["steps"], 56)
        broken = self.place / name
        codes = self.interrupted(broken, self.arguments(name, self.configuration(**changes)),
                                 [signal.SIGKILL] * kills, whole)
        self.assertIn(-signal.SIGKILL, codes, self.told)
        self.assert_same(whole, broken)
        self.assertEqual([p.name for p in broken.rglob("*.partial")], [], self.told)
        a, b = (json.loads((run / "result.json").read_text()) for run in (whole, broken))
        for key in ("metrics", "best", "last", "steps", "data", "trained_parameters"):
            self.assertEqual(a[key], b[key])
        return whole

    def test_killed_at_any_moment_it_ends_in_the_same_bytes(self):
        self.check_kills()

    def test_killed_at_any_moment_it_ends_in_the_same_bytes_in_bf16(self):
        self.check_kills(dtype="bf16")

    def test_killed_with_a_falling_rank_budget_it_ends_in_the_same_bytes(self):
        method = {"name": "adalora", "rank": 6, "target_rank": 2, "mask_interval": 2, "dropout": 0.1}
        whole = self.check_kills(kills=3, method=method)
        tensors, _ = read_safetensors(whole / "last" / "adapter.safetensors")
        values = [struct.unpack("<6f", data) for name, (_, _, data) in tensors.items() if name.endswith(".lora_E")]
        self.assertEqual(len(values), 4)  # query and value of two layers
        self.assertEqual(sum(value != 0 for of_one in values for value in of_one), 4 * 2)

    def test_killed_with_unlike_ranks_it_ends_in_the_same_bytes(self):
        patterns = {"rank_pattern": {"**.layer.1.attention.self.value": 2, "value": 6},
                    "alpha_pattern": {"**.layer.1.**": 3, "query": 5}}
        whole = self.check_kills(kills=2, method={"name": "mtlora", "rank": 4, "dropout": 0.1, **patterns})
        tensors, _ = read_safetensors(whole / "last" / "adapter.safetensors")
        cores = [shape for name, (_, shape, _) in sorted(tensors.items()) if name.endswith(".C")]
        self.assertEqual(cores, [[4, 4], [6, 6], [4, 4], [2, 2]])
        # in another order the first that fits is another one
        patterns["alpha_pattern"] = {"query": 5, "**.layer.1.**": 3}
        other = self.configuration(method={"name": "mtlora", "rank": 4, "dropout": 0.1, **patterns})
        self.fails(*self.arguments("run", other), "--resume", names=["/adapter/method/alpha_pattern", "another order"])

    def test_killed_with_masked_gradients_it_ends_in_the_same_bytes(self):
        for masked in ("moments", "frozen"):
            with self.subTest(masked=masked):
                self.check_kills(masked, kills=2, method={"name": "rm_lora", "rank": 4, "masked": masked})

    def test_what_begins_anew_on_the_way_survives_a_kill(self):
        """Taken up again at the end of a booster or a restart, and between two: tensors, moments and choices return."""
        for method in ({"name": "xgblora", "boosters": 7, "booster_steps": 12, "sampled_layers": 1, "dropout": 0.1},
                       {"name": "mora", "restart_steps": 12, "cycle": "1-2-3-4", "restart_warmup": 2},
                       {"name": "deep_lora", "compressed": True, "rank": 4}):
            for save_every in (12, 7):
                with self.subTest(method=method["name"], save_every=save_every):
                    name = f"{method['name']}-{save_every}"
                    configuration = self.configuration(method, save_every_steps=save_every, max_steps=80,
                                                       evaluate_every_steps=save_every)
                    whole, broken = self.train(f"{name}-whole", configuration), self.place / name
                    arguments = self.arguments(name, configuration)
                    process = start(*arguments)
                    while process.poll() is None and not (broken / "last" / "state.json").exists():
                        time.sleep(0.001)
                    process.send_signal(signal.SIGKILL)
                    self.assertEqual(process.wait(60), -signal.SIGKILL, "it was too fast to be killed")
                    step = json.loads((broken / "last" / "state.json").read_text())["step"]
                    self.assertTrue(0 < step < 80 and step % save_every == 0, step)
                    self.succeeds(*arguments, "--resume")
                    self.assert_same(whole, broken)

    def test_other_optimizers_killed_end_in_the_same_bytes(self):
        for name, lr in (("lora_rite", 1e-2), ("lozo_m", 1e-4), ("zo_adam", 1e-3), ("zo_sgd", 1e-4)):
            with self.subTest(optimizer=name):
                optimizer = {"name": name, "lr": lr}
                whole = self.train(f"{name}-whole", self.configuration(optimizer=optimizer))
                broken = self.place / f"{name}-broken"
                codes = self.interrupted(broken, self.arguments(broken.name, self.configuration(optimizer=optimizer)),
                                         [signal.SIGKILL] * 2, whole)
                self.assertIn(-signal.SIGKILL, codes, self.told)
                self.assert_same(whole, broken)

    def test_a_signal_saves_and_the_rest_ends_in_the_same_bytes(self):
        # long enough that the signal comes before the end on any machine
        long = {"save_every_steps": 1000, "max_steps": 600}
        whole = self.train("whole", self.configuration(**long))
        for stop, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129), (signal.SIGUSR1, 138)):
            with self.subTest(signal=stop.name):
                out = self.place / stop.name
                arguments = self.arguments(stop.name, self.configuration(**long))
                process = start(*arguments)
                while process.poll() is None and not (out / "metrics.jsonl").exists():
                    time.sleep(0.002)
                time.sleep(self.random.uniform(0, 0.1))
                process.send_signal(stop)
                self.assertEqual(process.wait(60), code, self.told)
                step = json.loads((out / "last" / "state.json").read_text())["step"]
                self.assertTrue(0 < step < 600)
                self.assertFalse((out / "result.json").exists())
                self.assertIn(f"stopped by signal {stop.value} (", (out / "log.txt").read_text())
                self.assertEqual(self.succeeds("eval", "--checkpoint", out / "last", "--json").code, 0)
                self.succeeds("inspect", out)
                told = self.succeeds(*arguments, "--resume").err
                self.assertIn(f"step {step}", told)
                self.assert_same(whole, out)

    def test_early_stopping_survives_a_kill(self):
        train = {"patience": 3, "epochs": 30, "save_every_steps": 3, "threads": 1}
        whole = self.train("whole", self.configuration(**train))
        result = json.loads((whole / "result.json").read_text())
        self.assertTrue(result["stopped_early"])
        self.interrupted(self.place / "broken", self.arguments("broken", self.configuration(**train)),
                         [signal.SIGKILL] * 2, whole)
        self.assert_same(whole, self.place / "broken")


if __name__ == "__main__":
    main()
