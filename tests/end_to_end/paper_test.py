"""configs/paper and scripts/paper_glue: every combination of model, task and method is a configuration that the program
takes; the script trains, prints, resumes and stops as it says."""

import importlib.util
import json
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import support
from describe_test import faults
from paper import SCRIPT, PaperCase
from support import SOURCE, Case, main

PAPER = SOURCE / "configs" / "paper"
MODELS = ("deberta_v3_base", "roberta_base")
# Rows of the official training sets, for what depends on the number of steps.
ROWS = {"mnli": 392702, "sst2": 67349, "cola": 8551, "qqp": 363846, "qnli": 104743, "rte": 2490, "mrpc": 3668,
        "stsb": 5749}


def scripts_configs():
    """scripts/support/configs.py, whose package is called as a module of the tests is."""
    spec = importlib.util.spec_from_file_location("configs", SOURCE / "scripts" / "support" / "configs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


configs = scripts_configs()


class Combination:
    """A command of the script, taken apart."""

    def __init__(self, line):
        self.words = shlex.split(line)[1:]
        self.out = pathlib.Path(self.given("--out")[0])
        self.model, self.task, self.method = self.out.parts[-4:-1]
        self.files = list(map(pathlib.Path, self.given("--config")))
        self.wanted = configs.gather(self.files, self.given("--set"))

    def given(self, option):
        return [value for key, value in zip(self.words, self.words[1:]) if key == option]


def combinations():
    """One of every model, task and method."""
    found = []
    for model in MODELS:
        done = subprocess.run([sys.executable, SCRIPT, "--dry-run", "--model", model, "--seeds", "0"],
                              capture_output=True, text=True, check=True)
        found += map(Combination, done.stdout.splitlines())
    return found


class Configs(Case):
    def test_every_combination_fits_the_schema(self):
        schema = json.loads(self.succeeds("describe", "schema").out)
        all_of_them = combinations()
        self.assertEqual(len({(c.model, c.task, c.method) for c in all_of_them}), 2 * 8 * 10)
        for c in all_of_them:
            with self.subTest(model=c.model, task=c.task, method=c.method):
                self.assertEqual(faults(schema, c.wanted), [])
                self.assertEqual(c.wanted["task"]["name"], c.task)
                self.assertLessEqual({"lr", "weight_decay"}, set(c.wanted["optimizer"]))
                self.assertLessEqual({"epochs", "batch_size", "max_length"}, set(c.wanted["train"]))
        used = {file for c in all_of_them for file in c.files}
        self.assertEqual(used, set(PAPER.rglob("*.json")))
        self.assertEqual(len(used), 2 * 9 + 10 + 8)

    def test_the_program_takes_every_file(self):
        """Options are checked before the model is looked for: an error about its folder alone: all else is right."""
        missing = self.place / "no-such-model"
        left = set(PAPER.rglob("*.json"))
        for c in combinations():
            if not left & set(c.files):
                continue
            left -= set(c.files)
            with self.subTest(model=c.model, task=c.task, method=c.method):
                error = self.fails(*c.words[:-2], "--set", f"model.path={missing}", "--out", self.place / "out",
                                   names=[missing]).err
                for section in ("adapter", "optimizer", "train", "schedule", "task"):
                    self.assertNotRegex(error, rf"(?m)(^|\s)/{section}")
        self.assertEqual(left, set())

    def test_adalora_has_steps_between_its_first_and_last_phase(self):
        compared = 0
        for c in combinations():
            if c.method != "adalora":
                continue
            method, train = c.wanted["adapter"]["method"], c.wanted["train"]
            steps = train["epochs"] * -(-ROWS[c.task] // train["batch_size"])
            self.assertGreater(steps, method["init_steps"] + method["final_steps"], (c.model, c.task))
            compared += 1
        self.assertEqual(compared, 2 * 8)


class Script(PaperCase):
    def test_a_dry_run_prints_every_command_and_does_nothing(self):
        lines = self.call("--dry-run").stdout.splitlines()
        self.assertEqual(len(lines), 4)
        self.assertIn("--config", lines[0])
        self.assertTrue(lines[0].endswith(f"--out {self.run_folder(method='bitfit')}"), lines[0])
        self.assertFalse((self.place / "runs").exists())
        everything = subprocess.run([sys.executable, SCRIPT, "--dry-run"], capture_output=True, text=True, check=True)
        self.assertEqual(len(set(everything.stdout.splitlines())), 8 * 10 * 5)
        wrong = self.call("--dry-run", methods="lroa", code=2)
        self.assertIn("lroa", wrong.stderr)

    def test_the_table_has_means_and_every_run_and_is_trained_once(self):
        first = self.call()
        results = {(m, s): json.loads((self.run_folder(method=m, seed=s) / "result.json").read_text())
                   for m in ("lora", "bitfit") for s in (0, 1)}
        for which in ("best", "last"):
            for method in ("lora", "bitfit"):
                values = [100 * results[method, seed][which]["metrics"]["matthews"] for seed in (0, 1)]
                mean, spread = sum(values) / 2, abs(values[0] - values[1]) / 2 ** 0.5
                self.assertIn(f"| {method} | {mean:.2f} ± {spread:.2f} | {mean:.2f} |", first.stdout)
        for (method, seed), result in results.items():
            best, last = (100 * result[which]["metrics"]["matthews"] for which in ("best", "last"))
            epoch = 3 * result["best"]["step"] // result["steps"]
            self.assertIn(f"| cola | {method} | {seed} | {best:.2f} (epoch {epoch}) | {last:.2f} (epoch 3) | "
                          f"{result['trained_parameters']} |", first.stdout)
        before = support.snapshot(self.place / "runs")
        again = self.call()
        self.assertEqual(again.stdout, first.stdout)
        self.assertEqual(support.snapshot(self.place / "runs"), before)
        other = self.call("--set", "optimizer.lr=0.5", code=1)
        self.assertIn("other settings", other.stderr)
        self.assertIn("/optimizer/lr: 0.001 there, 0.5 now", other.stderr)
        # what is not finished is resumed, what is gone is trained again
        (self.run_folder() / "result.json").unlink()
        support.shutil.rmtree(self.run_folder(seed=1))
        self.assertEqual(self.call().stdout, first.stdout)

    def test_the_configuration_of_a_run_is_what_its_files_say(self):
        self.call(methods="dtsm", seeds="4")
        resolved = json.loads((self.run_folder(method="dtsm", seed=4) / "config.json").read_text())
        self.assertEqual(resolved["adapter"]["method"]["structure"], "dtsm")
        self.assertEqual(resolved["adapter"]["method"]["rank"], 8)
        self.assertEqual(len(resolved["adapter"]["targets"]), 4)
        self.assertEqual(resolved["optimizer"]["lr"], 4e-4)
        self.assertEqual(resolved["optimizer"]["weight_decay"], 0.1)
        self.assertEqual((resolved["train"]["seed"], resolved["train"]["batch_size"]), (4, 64))

    def test_rte_starts_from_the_adapter_of_mnli(self):
        done = self.call(tasks="rte", methods="lora", seeds="0", epochs=1)
        self.assertIn("MNLI is trained first", done.stderr)
        start = json.loads((self.run_folder("rte") / "config.json").read_text())["adapter"]["start_from"]
        self.assertEqual(start, str(self.run_folder("mnli") / "best"))
        self.assertIn("| rte | lora | 0 |", done.stdout)
        scores = json.loads((self.run_folder("mnli") / "result.json").read_text())["best"]["metrics"]
        self.assertIn(f"| mnli | lora | 0 | {100 * scores['accuracy']:.2f} / "
                      f"{100 * scores['dev_mismatched']['accuracy']:.2f} (epoch 1)", done.stdout)

    def test_a_failed_run_is_said_and_the_others_are_trained(self):
        (self.place / "data").mkdir()
        (self.place / "data" / "cola").symlink_to(self.data / "cola")
        self.data = self.place / "data"
        done = self.call(tasks="sst2,cola", methods="bitfit", seeds="0", epochs=1, code=1)
        self.assertIn("failed:", done.stderr)
        self.assertIn("sst2", done.stderr)
        self.assertIn("| cola | bitfit | 0 |", done.stdout)
        self.assertNotIn("| sst2 | bitfit", done.stdout)
        # a task without results keeps its column, and the average of the others is not said to be that of all
        self.assertIn("| method | sst2 | cola | average |", done.stdout)
        self.assertRegex(done.stdout, r"(?m)^\| bitfit \| – \| -?[\d.]+ \| – \|$")

    def test_a_failed_run_is_told_by_what_this_attempt_said(self):
        program = self.place / "program"
        self.data = self.place / "nowhere"
        self.call(tasks="cola", methods="bitfit", seeds="0", code=1)  # "error: …nowhere…" in its log
        program.write_text("#!/bin/sh\necho 'step 5/100'\nkill -KILL $$\n")
        program.chmod(0o755)
        done = self.call("--program", program, tasks="cola", methods="bitfit", seeds="0", code=1)
        self.assertIn("failed: ended by signal 9 (Killed); its last words: step 5/100", done.stderr)
        self.assertNotIn("nowhere", done.stderr)

    def test_seeds(self):
        self.assertEqual(len(self.call("--dry-run", methods="lora", seeds="3,0,3").stdout.splitlines()), 2)
        for wrong in ("a", "0,-1", "", "1.5"):
            self.assertIn("whole numbers of at least 0", self.call("--dry-run", f"--seeds={wrong}", code=2).stderr)

    def test_a_signal_stops_after_saving(self):
        for code, told in ((130, signal.SIGINT), (129, signal.SIGHUP)):
            with self.subTest(signal=told.name):
                support.shutil.rmtree(self.place / "runs", ignore_errors=True)
                self.check_stop(code, told)

    def check_stop(self, code, told):
        last, again = self.run_folder() / "last", self.run_folder().with_name("seed0.2.log")
        self.stop_when(last.exists, code, told)
        self.assertTrue((last / "state.json").is_file())
        self.assertFalse((self.run_folder() / "result.json").exists())
        self.stop_when(lambda: again.exists() and "resumed at step" in again.read_text(), code, told)
        self.assertIn("resumed at step", again.read_text())

    def stop_when(self, is_far_enough, code, told):
        with subprocess.Popen(list(map(str, self.command(methods="lora", seeds="0", epochs=100000))),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)) as process:
            until = time.monotonic() + 120
            while not is_far_enough() and time.monotonic() < until:
                time.sleep(0.05)
            process.send_signal(told)
            error = process.communicate(timeout=120)[1]
        self.assertEqual(process.returncode, code, error)
        self.assertIn("goes on from here", error)

    def test_the_program_is_the_file_of_that_name_whatever_path_holds(self):
        done = subprocess.run([sys.executable, SCRIPT, "--dry-run", "--program", "./mtlora"], cwd=self.place,
                              capture_output=True, text=True, check=True)
        self.assertEqual(shlex.split(done.stdout.splitlines()[0])[0], str(self.place / "mtlora"))

    def test_the_program_is_asked_to_stop_once(self):
        child = ("import signal, time; asked = []\n"
                 "signal.signal(signal.SIGINT, lambda *_: (asked.append(1), print('asked', flush=True)))\n"
                 "print('ready', flush=True)\n"
                 "while not asked: time.sleep(0.01)\n"
                 "time.sleep(1)")
        script = ("import pathlib, sys\nfrom support.runs import Runner\n"
                  f"sys.exit(Runner().run([sys.executable, '-c', {child!r}], pathlib.Path(sys.argv[1]))[0])")
        log = self.place / "child.log"
        with subprocess.Popen([sys.executable, "-c", script, log], cwd=SOURCE / "scripts") as process:
            for said in ("ready\n", "ready\nasked\n"):
                until = time.monotonic() + 60
                while not (log.exists() and log.read_text() == said) and time.monotonic() < until:
                    time.sleep(0.01)
                process.send_signal(signal.SIGINT)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(log.read_text(), "ready\nasked\n")


if __name__ == "__main__":
    main()
