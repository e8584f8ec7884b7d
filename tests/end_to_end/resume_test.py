"""A run that is killed or stopped and resumed ends in the very bytes of one that was never disturbed."""

import contextlib
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import time

import support
from support import (Case, bert_model, config, events, main, mtlora, read_safetensors, sentiment, snapshot, start,
                     write_json)

SAME = ("best/adapter.safetensors", "last/adapter.safetensors", "last/state.safetensors", "metrics.jsonl")


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
            resume = ["--resume"] if (out / "config.json").exists() else []
            process = start(*arguments, *resume)
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

    def test_killed_with_masked_gradients_it_ends_in_the_same_bytes(self):
        for masked in ("moments", "frozen"):
            with self.subTest(masked=masked):
                self.check_kills(masked, kills=2, method={"name": "rm_lora", "rank": 4, "masked": masked})

    def test_what_begins_anew_on_the_way_survives_a_kill(self):
        """Taken up again at the end of a booster or a restart, and between two: tensors, moments and choices return."""
        for method in ({"name": "xgblora", "boosters": 8, "booster_steps": 12, "sampled_layers": 1, "dropout": 0.1},
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


class Unheard(Case):
    """Who watches a run may leave."""

    def setUp(self):
        super().setUp()
        self.model, self.data = bert_model(self.place / "model"), sentiment(self.place / "data")

    def started(self, name, max_steps, processes=None, **options):
        file = write_json(self.place / f"{name}.json", config(
            self.model, self.data, train={"max_steps": max_steps, "evaluate_every_steps": 5, "device": "cpu"}))
        more = ["--processes", processes] if processes else []
        return start("train", "--config", file, "--out", self.place / name, *more, **options)

    def wait_until_it_trains(self, name, process):
        while process.poll() is None and not (self.place / name / "last" / "state.json").exists():
            time.sleep(0.002)

    def check_finished(self, name, process, last_step):
        self.assertEqual(process.wait(60), 0)
        self.assertTrue((self.place / name / "result.json").exists())
        self.assertIn(f"step {last_step}/{last_step}  dev", (self.place / name / "log.txt").read_text())

    def test_a_reader_that_leaves_ends_nothing(self):
        for name, both, processes in (("stderr", False, None), ("both", True, None), ("launched", True, 2)):
            with self.subTest(name=name):
                options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} if both else \
                    {"stderr": subprocess.PIPE}
                process = self.started(name, 60, processes, **options)
                reader = process.stdout if both else process.stderr
                self.assertTrue(reader.readline())
                reader.close()
                self.check_finished(name, process, 60)

    def test_a_closed_stderr_ends_nothing_and_is_no_file_of_the_run(self):
        file = write_json(self.place / "c.json", config(self.model, self.data, train={"max_steps": 20}))
        out = self.place / "closed"
        arguments = [support.PROGRAM, "train", "--config", str(file), "--out", str(out)]
        done = subprocess.run(["sh", "-c", 'exec "$@" 0<&- 2>&-', "sh", *arguments], timeout=60,
                              stdout=subprocess.PIPE)
        self.assertEqual(done.returncode, 0)
        self.assertTrue(events(out, "eval"))
        whole = self.train("open", config(self.model, self.data, train={"max_steps": 20}))
        for name in SAME:
            self.assertTrue((whole / name).read_bytes() == (out / name).read_bytes(), name)

    def test_a_terminal_that_closes_ends_nothing_where_hang_ups_are_ignored(self):
        here, terminal = os.openpty()
        process = self.started("terminal", 400, stderr=terminal, hang_up=signal.SIG_IGN)
        os.close(terminal)
        self.wait_until_it_trains("terminal", process)
        os.close(here)
        process.send_signal(signal.SIGHUP)
        self.check_finished("terminal", process, 400)

    def test_an_error_that_nobody_can_read_is_one(self):
        diverges = config(self.model, self.data, optimizer={"lr": 1e30}, train={"clip": 0.0})
        file = write_json(self.place / "diverges.json", diverges)
        process = start("train", "--config", file, "--out", self.place / "diverges", stderr=subprocess.PIPE)
        self.assertTrue(process.stderr.readline())
        process.stderr.close()
        self.assertEqual(process.wait(60), 1)

    def test_a_second_hang_up_and_a_later_termination_do_not_keep_it_from_saving(self):
        process = self.started("twice", 100000)
        self.wait_until_it_trains("twice", process)
        for told in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM):
            process.send_signal(told)
        self.assertIn(process.wait(60), (129, 143))  # which of two that wait comes first is the kernel's choice
        self.assertIn("stopped by signal", (self.place / "twice" / "log.txt").read_text())

    def test_other_commands_end_quietly_when_their_reader_leaves(self):
        run = self.train("run", config(self.model, self.data, train={"max_steps": 2}))
        process = start("predict", "--checkpoint", run / "last", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE)
        process.stdin.write(b"a good film\n" * 256)
        process.stdin.flush()
        self.assertTrue(process.stdout.readline())
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"a good film\n" * 100000)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        self.assertEqual(process.wait(60), -signal.SIGPIPE)
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()


class Refusals(Case):
    def setUp(self):
        super().setUp()
        self.model = bert_model(self.place / "model")
        self.data = sentiment(self.place / "data", train=32, dev=16)
        self.configuration = config(self.model, self.data, train={"epochs": 2})

    def test_a_run_there_is_left_alone(self):
        run = self.train("run", self.configuration)
        before = snapshot(run)
        arguments = ["train", "--config", self.place / "run.json", "--out", run]
        self.fails(*arguments, names=[run, "--resume"])
        self.assertEqual(snapshot(run), before)
        self.fails(*arguments, "--resume", "--set", "train.seed=7", names=["/train/seed", "3", "7"])
        self.assertEqual(snapshot(run), before)
        self.fails(*arguments, "--resume", "--set", "train.epochs=3", "--set", "optimizer.lr=0.1",
                   names=["/train/epochs", "/optimizer/lr"])
        self.assertEqual(snapshot(run), before)

    def test_a_finished_run_is_said_to_be_finished(self):
        run = self.train("run", self.configuration)
        before = snapshot(run)
        result = self.succeeds("train", "--config", self.place / "run.json", "--out", run, "--resume")
        self.assertRegex(result.err, "finished|complete|already")
        self.assertEqual(snapshot(run), before)

    def test_a_run_of_before_an_option_was_there_is_resumed(self):
        run = self.train("older", {**self.configuration, "train": {**self.configuration["train"], "max_steps": 4}})
        written = json.loads((run / "config.json").read_text())
        del written["train"]["skip_bad_steps"]
        write_json(run / "config.json", written)
        arguments = ["train", "--config", self.place / "older.json", "--out", run, "--resume"]
        self.succeeds(*arguments)
        self.fails(*arguments, "--set", "train.skip_bad_steps=2", names=["/train/skip_bad_steps: 0 there, 2 now"])

    def test_a_run_whose_data_and_model_have_moved_is_resumed(self):
        whole, run = (self.train(name, self.configuration) for name in ("whole", "run"))
        (run / "result.json").unlink()
        for name in ("last", "best"):  # as if it had just begun
            shutil.rmtree(run / name)
        moved = {}
        for name, folder in (("model", self.model), ("data", self.data)):
            moved[name] = folder.rename(folder.parent / f"moved-{name}")
        now = config(moved["model"], moved["data"], train={"epochs": 2, "log_every_steps": 1, "timeout_seconds": 99})
        result = self.succeeds(*self.arguments_of(run, now), "--resume")
        for option in ("/model/path", "/task/data", "/train/log_every_steps"):
            self.assertIn(option, result.err)
        self.assertEqual((run / "last" / "adapter.safetensors").read_bytes(),
                         (whole / "last" / "adapter.safetensors").read_bytes())
        (run / "result.json").unlink()
        now["optimizer"]["lr"] = 1e-3
        self.fails(*self.arguments_of(run, now), "--resume", names=["/optimizer/lr", "another configuration"])

    def arguments_of(self, run, configuration):
        return "train", "--config", write_json(self.place / "now.json", configuration), "--out", run

    def test_nothing_to_resume_is_an_error(self):
        file = write_json(self.place / "c.json", self.configuration)
        for out in (self.place / "nothing", self.place / "empty"):
            if out.name == "empty":
                out.mkdir()
            self.fails("train", "--config", file, "--out", out, "--resume", names=[out, "--resume"])
        self.assertFalse((self.place / "nothing").exists())

    def test_a_folder_with_other_things_is_left_alone(self):
        other = self.place / "other"
        other.mkdir()
        (other / "letter.txt").write_text("dear")
        file = write_json(self.place / "c.json", self.configuration)
        self.fails("train", "--config", file, "--out", other, names=[other])
        self.assertEqual(list(snapshot(other)), ["letter.txt"])

    def test_a_damaged_state_is_refused(self):
        run = self.train("run", self.configuration)
        (run / "result.json").unlink()
        arguments = ["train", "--config", self.place / "run.json", "--out", run, "--resume"]
        state = run / "last" / "state.safetensors"
        whole = state.read_bytes()
        state.write_bytes(whole[:-5])
        self.fails(*arguments, names=[state])
        state.write_bytes(whole)
        (run / "last" / "state.json").write_text("{}")
        self.fails(*arguments, names=[run / "last"])

    def test_a_run_that_is_at_work_is_not_joined(self):
        run = self.place / "run"
        busy = {**self.configuration, "train": {**self.configuration["train"], "epochs": 100000}}
        arguments = ["train", "--config", write_json(self.place / "busy.json", busy), "--out", run]
        process = start(*arguments)
        try:
            while process.poll() is None and not (run / "last").exists():
                time.sleep(0.01)
            self.fails(*arguments, "--resume", names=[run, "another mtlora is at work"])
            self.assertIsNone(process.poll())
        finally:
            process.terminate()
            process.wait(60)

    def test_a_replacement_that_was_cut_short_is_brought_back(self):
        whole, run = (self.train(name, self.configuration) for name in ("whole", "run"))
        (run / "result.json").unlink()
        (run / "last").rename(run / "last.old")  # as where names cannot be exchanged
        result = self.succeeds("train", "--config", self.place / "run.json", "--out", run, "--resume")
        self.assertIn("brought back from last.old", result.err)
        self.assertIn("resumed at step 4", result.err)
        for name in SAME:
            self.assertTrue((whole / name).read_bytes() == (run / name).read_bytes(), name)

    def test_a_run_killed_before_its_first_checkpoint_says_that_it_starts_anew(self):
        whole, run = (self.train(name, self.configuration) for name in ("whole", "run"))
        (run / "result.json").unlink()
        for name in ("best", "last"):
            shutil.rmtree(run / name)
        result = self.succeeds("train", "--config", self.place / "run.json", "--out", run, "--resume")
        self.assertIn("starts from the beginning", result.err)
        for name in SAME:
            self.assertTrue((whole / name).read_bytes() == (run / name).read_bytes(), name)

    def test_a_best_checkpoint_is_never_ahead_of_the_last(self):
        settings = {**self.configuration["train"], "epochs": 6, "evaluate_every_steps": 1, "save_every_steps": 1000}
        run = self.train("run", {**self.configuration, "train": settings})
        saved = {kind: [e["step"] for e in events(run, "checkpoint") if e["kind"] == kind] for kind in ("best", "last")}
        self.assertTrue(saved["best"])
        self.assertLessEqual(set(saved["best"]), set(saved["last"]))

    def test_what_a_kill_left_behind_is_cleared(self):
        run = self.train("run", self.configuration)
        (run / "best.partial").mkdir()
        (run / "best.partial" / "adapter.safetensors").write_bytes(b"half")
        (run / "result.json").unlink()
        self.succeeds("train", "--config", self.place / "run.json", "--out", run, "--resume")
        self.assertEqual([p.name for p in run.glob("*.partial")], [])


if __name__ == "__main__":
    main()
