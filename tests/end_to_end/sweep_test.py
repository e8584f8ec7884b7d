"""scripts/sweep: every combination is trained once, and compared."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import support
from support import SOURCE, Case, bert_model, config, main, sentiment, snapshot, write_json

METHODS = 'adapter.method={"name": "lora", "rank": 4},{"name": "mtlora", "structure": "shim", "rank": 2}'


class Sweep(Case):
    def setUp(self):
        super().setUp()
        self.data = sentiment(self.place / "data", train=32, dev=16)
        settings = config(bert_model(self.place / "model"), self.data, train={"epochs": 1, "threads": 1})
        self.config = write_json(self.place / "base.json", settings)
        self.out = self.place / "runs"

    def sweep(self, *arguments, vary=("train.seed=1,2", METHODS), code=0):
        words = [word for one in vary for word in ("--vary", one)]
        command = [sys.executable, SOURCE / "scripts" / "sweep", "--program", support.PROGRAM, "--config", self.config,
                   "--out", self.out, *words, *arguments]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        self.assertEqual(done.returncode, code, f"{done.stdout}\n{done.stderr}")
        return done

    def folders(self):
        return sorted(file.parent for file in self.out.rglob("result.json"))

    def test_every_combination_is_trained_once_and_compared(self):
        done = self.sweep()
        self.assertEqual(len(self.folders()), 4)
        found = {(c["train"]["seed"], c["adapter"]["method"]["name"], c["adapter"]["method"]["rank"])
                 for c in (json.loads((run / "config.json").read_text()) for run in self.folders())}
        self.assertEqual(found, {(1, "lora", 4), (2, "lora", 4), (1, "mtlora", 2), (2, "mtlora", 2)})
        self.assertEqual(done.stdout, self.succeeds("compare", *self.in_turn()).out)
        self.assertRegex(done.stdout, r"\| 1 +\| lora +\| 4 +\| kaiming +\| +2 \|")
        shutil.rmtree(self.in_turn()[-1])
        before = snapshot(self.in_turn()[0])
        again = self.sweep()
        self.assertEqual((again.stdout, again.stderr), (done.stdout, f"4 of 4: {self.in_turn()[-1]}\n"))
        self.assertEqual(snapshot(self.in_turn()[0]), before)

    def in_turn(self):
        """The folders as --dry-run has them."""
        return [Path(line.split()[-1]) for line in self.sweep("--dry-run").stdout.splitlines()]

    def test_the_metrics_that_are_named_are_shown(self):
        out = self.sweep("--metrics", "loss", vary=["train.seed=1"]).stdout
        self.assertIn(" loss |", out)
        self.assertNotIn("accuracy", out)

    def test_a_run_that_fails_costs_no_other(self):
        done = self.sweep(vary=["train.epochs=1,-1,2"], code=1)
        self.assertEqual(len(self.folders()), 2)
        self.assertIn(f"failed: {self.out / 'epochs=-1'}: error: /train/epochs", done.stderr)
        self.assertRegex(done.stdout, r"1 +\| 1 +\| +1 \|")
        self.assertRegex(done.stdout, r"2 +\| 2 +\| +1 \|")

    def test_runs_of_other_settings_are_refused_before_anything_is_trained(self):
        self.sweep(vary=["train.seed=1"])
        before = snapshot(self.out)
        done = self.sweep("--set", "optimizer.lr=0.5", vary=["train.seed=2,1"], code=1)
        self.assertIn("/optimizer/lr: 0.01 there, 0.5 now", done.stderr)
        self.assertEqual(snapshot(self.out), before)

    def test_runs_that_learned_from_something_else_are_refused(self):
        self.sweep(vary=["train.seed=1"])
        before = snapshot(self.out)
        other = sentiment(self.place / "other", train=32, dev=16, seed=2)
        done = self.sweep("--set", f"task.data={other}", vary=["train.seed=1,2"], code=1)
        self.assertIn(f'/task/data: "{self.data}" there, "{other}" now', done.stderr)
        self.assertEqual(snapshot(self.out), before)

    def test_options_of_a_choice_vary_beside_it(self):
        done = self.sweep("--dry-run", vary=['adapter.method={"name": "lora"},{"name": "dora"}', "adapter.method.rank=1,2"])
        self.assertEqual(len(done.stdout.splitlines()), 4)
        self.assertIn("method=lora", done.stdout)

    def test_values_that_make_no_sweep(self):
        for vary, code, wanted in ((["train.seed"], 2, "expected PATH=VALUE"), (["train.seed=1,,2"], 2, "an empty value"),
                                   (["train.seed=1,1"], 2, "1 stands there twice"),
                                   (["optimizer.lr=1e-3,0.001"], 2, "1e-3, 0.001 are one value"),
                                   (["train.threads=1,2"], 2, "changes no result"),
                                   (['adapter.targets=["query",["value"]'], 2, "is no JSON"),
                                   (['adapter.targets=["query"]],["value"]'], 2, "expected a comma before ]"),
                                   (["train.seed=1", "train.seed=2"], 1, "train.seed would undo --vary train.seed"),
                                   (["adapter.method.rank=1,2", METHODS], 1, "would undo --vary adapter.method.rank"),
                                   (["epochs=1,2"], 1, "error: --set epochs=1: there is no option")):
            told = self.sweep(vary=vary, code=code).stderr
            self.assertIn(wanted, told)
            self.assertNotIn("Traceback", told)
        for folder in self.place.glob("runs/*"):  # where the program's words on the option are kept
            folder.unlink()
        self.out.rmdir()
        self.assertIn("would undo --set adapter.method.rank=2", self.sweep("--set", "adapter.method.rank=2", code=1).stderr)
        self.assertIn("is no folder", self.sweep("--out", self.config, code=1).stderr)
        self.assertIn("no such program", self.sweep("--program", self.config, code=1).stderr)
        self.assertIn("would undo --set train.seed=3", self.sweep("--set", "train.seed=3", code=1).stderr)
        self.assertIn("there is no such file", self.sweep("--config", "nowhere.json", code=1).stderr)
        self.assertFalse(self.out.exists())


if __name__ == "__main__":
    main()
