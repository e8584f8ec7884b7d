"""compare: finished runs side by side, those of other seeds taken together."""

import json
import math
import shutil
import statistics

from gpt2 import SAMPLES, gpt2_model, writing
from support import SharedCase, bert_model, config, main, mtlora, sentiment, write_json

MTLORA = {"name": "mtlora", "structure": "icfm", "rank": 4, "alpha": 8}


def result_of(run):
    return json.loads((run / "result.json").read_text())


def tables(text):
    """[[{column: cell}]] of the Markdown tables."""
    found = []
    for part in text.split("\n\n"):
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line[0] == "|"]
        if lines:
            found.append([dict(zip(lines[0], line)) for line in lines[2:]])
    return found


class Compare(SharedCase):
    def prepare(self):
        model, data = bert_model(self.place / "model"), sentiment(self.place / "data", train=48, dev=24)
        for seed in (1, 2, 10):
            for name, method in (("lora", {"name": "lora", "rank": 4, "alpha": 8}), ("icfm", MTLORA)):
                self.train(f"runs/{name}/{seed}", self.of_seed(model, data, seed, method))
        self.assertEqual(len(list(self.place.glob("runs/*/*/result.json"))), 6)

    def of_seed(self, model, data, seed, method, **changes):
        (self.place / "runs" / method["name"]).mkdir(parents=True, exist_ok=True)
        (self.place / "runs" / "icfm").mkdir(parents=True, exist_ok=True)
        adapter = {"targets": ["query", "value"], "method": method}
        return config(model, data, adapter=adapter, train={"epochs": 2, "seed": seed, **changes})

    def compared(self, *arguments):
        return json.loads(self.succeeds("compare", *arguments, "--json").out)["groups"]

    def copy(self, name, source="runs/lora/1"):
        shutil.rmtree(self.place / name, ignore_errors=True)
        return shutil.copytree(self.place / source, self.place / name)

    def change(self, file, change):
        value = json.loads(file.read_text())
        change(value)
        write_json(file, value)

    def test_mean_and_deviation_are_those_of_the_results(self):
        groups = self.compared(self.place / "runs")
        self.assertEqual([g["options"] for g in groups], [{"adapter.method.name": "mtlora", "adapter.method.init": "repo"},
                                                          {"adapter.method.name": "lora", "adapter.method.init": "kaiming"}])
        for group, name in zip(groups, ("icfm", "lora")):
            results = [result_of(self.place / "runs" / name / str(seed)) for seed in (1, 2, 10)]
            self.assertEqual([run["seed"] for run in group["runs"]], [1, 2, 10])
            self.assertEqual(group["trained_parameters"], results[0]["trained_parameters"])
            for which in ("best", "last"):
                self.assertEqual(set(group[which]), {"accuracy", "loss"})
                for metric, spread in group[which].items():
                    values = [result[which]["metrics"][metric] for result in results]
                    self.assertAlmostEqual(spread["mean"], statistics.fmean(values), 14)
                    self.assertAlmostEqual(spread["deviation"], statistics.stdev(values), 14)
                    self.assertEqual(spread["runs"], 3)
                for run, result in zip(group["runs"], results):
                    self.assertEqual(run[which], result[which])

    def test_the_tables_say_the_same(self):
        best, last, runs = tables(self.succeeds("compare", self.place / "runs").out)
        self.assertEqual([(row["adapter.method.name"], row["runs"]) for row in best], [("mtlora", "3"), ("lora", "3")])
        self.assertEqual(len(runs), 6)
        for table, which in ((best, "best"), (last, "last")):
            for row, group in zip(table, self.compared(self.place / "runs")):
                spread = group[which]["accuracy"]
                self.assertEqual(row["accuracy"], f"{spread['mean']:.4f} ± {spread['deviation']:.4f}")
        result = result_of(self.place / "runs/icfm/1")
        self.assertEqual(runs[0]["run"], str(self.place / "runs/icfm/1"))
        self.assertEqual(runs[0]["best step"], str(result["best"]["step"]))
        self.assertEqual(runs[0]["last loss"], f"{result['last']['metrics']['loss']:.4f}")

    def test_the_metrics_that_are_named_are_shown(self):
        for row in tables(self.succeeds("compare", self.place / "runs", "--metrics", "loss").out)[0]:
            self.assertEqual(list(row)[-2:], ["trained", "loss"])
        self.fails("compare", self.place / "runs", "--metrics", "acuracy", names=["--metrics", '"acuracy"', '"accuracy"'])

    def test_runs_that_learned_from_other_things_are_rows_of_their_own(self):
        other = self.copy("moved/other-data")
        self.change(other / "result.json", lambda r: r["data"].update(train="0123456789abcdef"))
        base = self.copy("moved/other-base")
        self.change(base / "result.json", lambda r: r.update(base="fedcba9876543210"))
        older = self.copy("moved/older", "runs/lora/2")  # says the base in its checkpoints alone
        self.change(older / "result.json", lambda r: r.pop("base"))
        groups = self.compared(self.place / "runs/lora/1", *sorted((self.place / "moved").iterdir()))
        self.assertEqual([len(g["runs"]) for g in groups], [2, 1, 1])
        options = [list(g["options"].values()) for g in groups]
        self.assertEqual([list(g["options"]) for g in groups], [["task.data", "model.path"]] * 3)
        self.assertIn("train 01234567", options[2][0])
        self.assertIn("fedcba98", options[1][1])
        self.assertEqual((options[0][0], options[0][1]), (options[1][0], options[2][1]))

    def test_how_a_number_is_written_and_where_things_lie_is_no_difference(self):
        again = self.copy("written", "runs/lora/2")

        def rewrite(config):
            config["adapter"]["method"]["alpha"] = 8.0
            config["train"].update(threads=1, log_every_steps=7, dtype="auto")
            config["task"]["data"] = "elsewhere"
        self.change(again / "config.json", rewrite)
        self.assertEqual([len(g["runs"]) for g in self.compared(self.place / "runs/lora/1", again)], [2])

    def test_a_run_counts_once(self):
        one = self.place / "runs/lora/1"
        again = self.copy("again")
        done = self.succeeds("compare", one, one / ".." / "1", again, "--json")
        self.assertEqual([len(g["runs"]) for g in json.loads(done.out)["groups"]], [1])
        self.assertIn(f"{again}: the run of {one} again, seed 1; left out", done.err)

    def test_runs_that_are_not_finished_are_told(self):
        begun = self.copy("begun")
        (begun / "result.json").unlink()
        done = self.succeeds("compare", self.place / "runs/lora/1", begun, "--json")
        self.assertIn(f"{begun}: not finished", done.err)
        self.assertEqual(len(json.loads(done.out)["groups"]), 1)
        self.fails("compare", begun, names=["nothing to compare"])

    def test_scores_that_are_undefined_or_missing_are_no_numbers(self):
        for name, seed, change in (("a", 1, lambda m: m.update(accuracy=None)), ("b", 2, lambda m: m.pop("loss"))):
            run = self.copy(f"odd/{name}", f"runs/lora/{seed}")
            self.change(run / "result.json", lambda r: change(r["best"]["metrics"]))
        best, _, runs = tables(self.succeeds("compare", self.place / "odd").out)
        loss = result_of(self.place / "odd/a")["best"]["metrics"]["loss"]
        self.assertEqual((best[0]["accuracy"], best[0]["loss"]), ("nan", f"{loss:.4f} (1 of 2)"))
        self.assertEqual((runs[0]["best accuracy"], runs[1]["best loss"]), ("nan", "–"))
        group = self.compared(self.place / "odd")[0]
        self.assertEqual(group["best"]["accuracy"], {"mean": None, "deviation": None, "runs": 2})

    def test_what_is_no_finished_run_is_named(self):
        self.fails("compare", "nowhere", names=["nowhere: there is no such folder"])
        self.fails("compare", self.place / "data", names=[self.place / "data", "no run"])
        self.fails("compare", self.place / "data" / "dev.tsv", names=["dev.tsv: no folder"])
        self.fails("compare", self.place / "runs/lora/1/best", names=["best: no run"])
        self.fails("compare", code=2)
        run = self.copy("broken")
        for change, wanted in ((lambda r: r.pop("trained_parameters"), "has no /trained_parameters"),
                               (lambda r: r.update(best=3), "has no /best/step"),
                               (lambda r: r["last"].update(metrics=[]), "metrics that are no object"),
                               (lambda r: r["last"]["metrics"].update(loss="x"), "the metric loss is no number")):
            self.copy("broken")
            self.change(run / "result.json", change)
            self.fails("compare", run, names=[f"warning: {run}: left out: {run / 'result.json'}: {wanted}"])
        (run / "result.json").write_text("{")
        self.fails("compare", run, names=[run / "result.json"])

    def test_a_broken_run_costs_the_others_nothing(self):
        (self.copy("some/a") / "result.json").write_text("{")
        (self.copy("some/b") / "config.json").write_text("// nothing\n")
        (self.copy("some/c") / "config.json").unlink()
        self.copy("some/d/inside", "runs/lora/2")
        (self.place / "some/foreign").mkdir()
        (self.place / "some/foreign/config.json").write_text("// nothing\n")
        (self.place / "some/round").symlink_to(self.place / "some")
        (self.place / "some/link").symlink_to(self.place / "runs/lora/10")
        done = mtlora("compare", self.place / "some", "--json")
        self.assertEqual(done.code, 1, done)
        self.assertEqual([run["seed"] for group in json.loads(done.out)["groups"] for run in group["runs"]], [2, 10])
        self.assertEqual(done.err.count("left out"), 3, done.err)
        for name in "abc":
            self.assertIn(f"{self.place / 'some' / name}: left out", done.err)

    def test_runs_that_start_from_adapters_of_other_settings_are_rows_of_their_own(self):
        for seed in (1, 2):
            for name, start in (("own", f"lora/{seed}"), ("other", f"icfm/{seed}")):
                run = self.copy(f"started/{name}{seed}", f"runs/lora/{seed}")
                best = self.place / "runs" / start / "best"
                self.change(run / "config.json", lambda c: c["adapter"].update(start_from=str(best)))
        groups = self.compared(self.place / "started")
        self.assertEqual([[run["seed"] for run in g["runs"]] for g in groups], [[1, 2], [1, 2]])
        self.assertEqual([g["options"] for g in groups],
                         [{"adapter.start_from": str(self.place / f"runs/{name}/1/best")} for name in ("icfm", "lora")])

    def test_rows_are_told_without_a_dev_set(self):
        for name, rank in (("a", 4), ("b", 2)):
            run = self.copy(f"blind/{name}")
            self.change(run / "config.json", lambda c: c["adapter"]["method"].update(rank=rank))
            self.change(run / "result.json", lambda r: [r[which].update(metrics=None) for which in ("best", "last")])
        rows, runs = tables(self.succeeds("compare", self.place / "blind").out)
        self.assertEqual([(row["row"], row["adapter.method.rank"]) for row in rows], [("1", "4"), ("2", "2")])
        self.assertEqual([row["row"] for row in runs], ["1", "2"])

    def test_texts_have_the_scores_of_their_final_split(self):
        gpt2_model(self.place / "gpt2")
        run = self.train("text", writing(self.place / "gpt2", SAMPLES / "webnlg", "webnlg"))
        scores = result_of(run)["test"]["metrics"]
        best, last, _ = tables(self.succeeds("compare", run).out)
        self.assertEqual(best[0]["test.bleu"], f"{scores['bleu']:.4f}")
        self.assertIn("exact, stem", result_of(run)["test"]["notes"]["meteor"])
        other = shutil.copytree(run, self.place / "with-data")
        self.change(other / "result.json", lambda r: r["test"].pop("notes"))
        self.assertEqual(list(self.compared(run, other)[0]["options"]), ["score.meteor_data"])
        self.assertNotIn("test.seen.bleu", best[0])
        self.assertNotIn("test.bleu", last[0])
        shown = tables(self.succeeds("compare", run, "--metrics", "test.seen.bleu,loss").out)[0][0]
        self.assertEqual(list(shown)[-2:], ["test.seen.bleu", "loss"])
        self.assertTrue(math.isclose(self.compared(run)[0]["best"]["test.seen.bleu"]["mean"], scores["seen"]["bleu"]))


if __name__ == "__main__":
    main()
