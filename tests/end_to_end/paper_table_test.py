"""scripts/paper_glue: what is finished becomes one table only where it belongs into one, and a run without a score
costs no other its own."""

import fcntl
import os
import re
import shutil
import subprocess
import time

from paper import PaperCase
from processes_test import is_running
from support import SOURCE, bert_model, main


class Table(PaperCase):
    def setUp(self):
        super().setUp()
        self.data = shutil.copytree(self.data, self.place / "data")

    def one(self, *arguments, code=0, **options):
        """A call for LoRA on CoLA with one seed and epoch, or what is said."""
        return self.call(*arguments, code=code, **{"methods": "lora", "seeds": "0", "epochs": 1, **options})

    def change_data(self, task="cola", file="train.tsv"):
        table = self.data / task / file
        lines = table.read_text().splitlines()
        table.write_text("\n".join(lines[:1] + lines[2:]) + "\n")

    def assert_cells(self, done, method, *cells):
        self.assertIn(f"| {method} | " + " | ".join(cells) + " |", done.stdout)

    def test_what_may_differ_is_what_the_program_lets_a_resumed_run_change(self):
        def paths(file, name):
            text = (SOURCE / file).read_text()
            begin = text.index(f"{name} = {{")
            return set(re.findall(r'"(/\w+/\w+)"', text[begin:text.index("}", begin)]))
        ours = paths("scripts/support/configs.py", "MAY_DIFFER")
        self.assertGreater(len(ours), 8)
        self.assertEqual(ours, paths("lib/run/run_folder.cpp", "kMayDiffer"))

    def test_options_back_at_their_defaults_are_other_settings(self):
        other = ("train.max_steps=3", "train.label_smoothing=0.1", "train.dtype=fp32", "adapter.method.dropout=0.1")
        self.one(*(word for setting in other for word in ("--set", setting)), seeds="1")
        said = self.one(seeds="0,1", code=1).stderr
        for line in ("/train/max_steps: 3 there, null now", "/train/label_smoothing: 0.1 there, 0.0 now",
                     '/train/dtype: "fp32" there, "auto" now', "/adapter/method/dropout: 0.1 there, 0.0 now"):
            self.assertIn(line, said)
        self.assertEqual(said.count(" there, "), len(other), said)
        self.assertFalse(self.run_folder(seed=0).exists(), "trained before another run was refused")

    def test_what_says_how_a_run_goes_on_may_differ(self):
        first = self.one().stdout
        self.assertEqual(self.one("--set", "train.threads=2", "--set", "train.log_every_steps=7").stdout, first)

    def test_seeds_that_learned_from_other_data_are_refused(self):
        self.one()
        self.change_data()
        self.one(seeds="1", methods="bitfit")
        self.assertIn("cola, train data: ", self.one(methods="lora,bitfit", seeds="0,1", code=1).stderr)
        self.assertFalse(self.run_folder(seed=1).exists(), "trained before two runs were refused")
        said = self.one(seeds="0,1", code=1).stderr  # only the run itself can show it
        self.assertIn("cola, train data: ", said)
        for seed in (0, 1):
            self.assertIn(str(self.run_folder(seed=seed)), said)

    def test_seeds_that_began_from_other_weights_are_refused(self):
        self.one()
        shutil.rmtree(self.model)
        bert_model(self.model, "bert-tiny")
        said = self.one(seeds="0,1", code=1).stderr
        self.assertIn("base weights: ", said)
        for seed in (0, 1):
            self.assertIn(str(self.run_folder(seed=seed)), said)

    def test_a_tree_that_was_moved_is_the_same_table(self):
        first = self.one(tasks="rte")
        for name in ("data", "runs", "model"):
            (self.place / name).rename(self.place / f"moved-{name}")
        self.data, self.model = self.place / "moved-data", self.place / "moved-model"
        again = self.one("--out", self.place / "moved-runs", tasks="rte")
        self.assertEqual(again.stdout, first.stdout)
        self.assertNotIn("1 of 2", again.stderr)
        said = self.one("--out", self.place / "moved-runs", "--from-base", tasks="rte", code=1).stderr
        self.assertIn("/adapter/start_from: ", said)

    def test_an_undefined_metric_is_nan(self):
        table = self.data / "stsb" / "dev.tsv"
        header, *rows = table.read_text().splitlines()
        table.write_text("\n".join([header, *(row.rsplit("\t", 1)[0] + "\t2.5" for row in rows)]) + "\n")
        done = self.one("--from-base", tasks="stsb,cola", seeds="0,1", code=1)
        self.assertRegex(done.stdout, r"\| lora \| -?[\d.]+ ± [\d.]+ \| nan \| nan \|")
        self.assertIn("| stsb | lora | 0 | nan (epoch 1) | nan (epoch 1) |", done.stdout)
        self.assertIn(f"{self.run_folder('stsb')}: pearson_spearman is undefined in the best evaluation", done.stderr)

    def test_a_task_without_a_dev_file_has_no_score(self):
        (self.data / "sst2" / "dev.tsv").unlink()
        (self.data / "mnli" / "dev_mismatched.tsv").unlink()
        done = self.one(tasks="mnli,sst2,cola", code=1)
        self.assertRegex(done.stdout, r"\| lora \| [\d.]+ / – \| – \| -?[\d.]+ \| – \|")
        self.assertRegex(done.stdout, r"\| sst2 \| lora \| 0 \| – \| – \| \d+ \|")
        self.assertIn(f"{self.run_folder('sst2')}: result.json has no metrics: was there a dev file?", done.stderr)
        self.assertIn(f"{self.run_folder('mnli')}: result.json has no best.metrics.dev_mismatched.accuracy",
                      done.stderr)

    def test_a_broken_folder_costs_its_own_score_alone(self):
        whole = self.one(seeds="0,1,2")
        last = next(line for line in whole.stdout.splitlines() if line.startswith("| cola | lora | 2 |"))
        result, config = (self.run_folder() / name for name in ("result.json", "config.json"))
        for file, text, why in ((result, "", "result.json: no JSON"), (result, "[]", "result.json: no JSON object"),
                                (result, "{}", "result.json has no best.metrics"),
                                (config, "{", "config.json: no JSON"), (config, None, "config.json: No such file")):
            with self.subTest(why=why):
                before = file.read_text()
                file.unlink() if text is None else file.write_text(text)
                done = self.one(seeds="0,1,2", code=1)
                file.write_text(before)
                self.assertIn(f"{self.run_folder()}: {why}", done.stderr)
                self.assertIn("| cola | lora | 0 | – | – |", done.stdout)
                self.assertIn(last, done.stdout)
                self.assertRegex(done.stdout, r"\| lora \| \S+ ± \S+ \(2 of 3 runs\) \| \S+ \(not of all runs\) \|")
        (self.run_folder() / "metrics.jsonl").unlink()
        done = self.one(seeds="0,1,2", code=1)
        self.assertIn(f"{self.run_folder()}: metrics.jsonl: No such file", done.stderr)
        self.assertRegex(done.stdout, r"\| cola \| lora \| 0 \| -?[\d.]+ \| -?[\d.]+ \|")

    def test_what_the_script_decides_is_not_set(self):
        for setting, option in (("train.seed=5", "--seeds"), ('train={"epochs": 1}', "--seeds"),
                                ("task.data=elsewhere", "--data"), ("task=rte", "--tasks"),
                                ('adapter.method={"name": "lora"}', "--methods"),
                                ("adapter.start_from=null", "--from-base")):
            with self.subTest(setting=setting):
                said = self.one("--dry-run", "--set", setting, code=1).stderr
                self.assertIn(f"error: --set {setting}: ", said)
                self.assertIn(option, said)
        self.one("--dry-run", "--set", "adapter.method.rank=4", "--set", "train.dtype=fp32")

    def test_a_run_in_other_hands_is_not_failed(self):
        self.run_folder().mkdir(parents=True)
        held = os.open(self.run_folder(), os.O_RDONLY)
        self.addCleanup(os.close, held)
        fcntl.flock(held, fcntl.LOCK_EX)
        log = self.run_folder().with_name("seed0.log")
        log.write_text("error: of another process\n")
        done = self.one(seeds="0,1", code=1)
        self.assertIn(f"not done: {self.run_folder()}: error: {self.run_folder()}: another mtlora is at work",
                      done.stderr)
        self.assertNotIn("failed", done.stderr)
        self.assertNotIn("of another process", done.stderr)
        self.assertEqual(log.read_text(), "error: of another process\n")
        self.assertIn("| cola | lora | 1 |", done.stdout)

    def test_nothing_starts_from_a_run_that_is_not_finished(self):
        self.one(tasks="mnli")
        (self.run_folder("mnli") / "result.json").unlink()
        held = os.open(self.run_folder("mnli"), os.O_RDONLY)
        self.addCleanup(os.close, held)
        fcntl.flock(held, fcntl.LOCK_EX)
        said = self.one(tasks="rte,cola", code=1).stderr
        self.assertIn(f"not done: {self.run_folder('rte')}: it starts from {self.run_folder('mnli')}", said)

    def test_a_run_saves_and_stops_when_the_script_is_killed(self):
        process = subprocess.Popen(list(map(str, self.command(methods="lora", seeds="0", epochs=100000))),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait_for((self.run_folder() / "last").exists)
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
            child = int(file.read())
        process.kill()
        process.wait()
        self.wait_for(lambda: not is_running(child))
        self.assertIn("stopped by signal 15", (self.run_folder() / "log.txt").read_text())
        self.assertTrue((self.run_folder() / "last" / "state.json").is_file())

    def wait_for(self, has_come, seconds=120):
        until = time.monotonic() + seconds
        while not has_come():
            self.assertLess(time.monotonic(), until, "in vain")
            time.sleep(0.02)


if __name__ == "__main__":
    main()
