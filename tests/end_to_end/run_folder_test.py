"""What is done in a run's folder that is there already: resumed, refused, mended."""

import json
import shutil
import time

from support import Case, SAME, bert_model, config, events, main, mtlora, sentiment, snapshot, start, write_json


class RunFolder(Case):
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

    def test_a_run_knows_its_data_behind_a_link(self):
        """link/.. is where the link's folder lies: a folder of the same name beside the link is another one."""
        (self.place / "far" / "away").mkdir(parents=True)
        (self.place / "link").symlink_to("far/away")
        self.data.rename(self.place / "far" / "data")
        sentiment(self.place / "data", train=32, dev=8, seed=2)
        run = self.train("run", config(self.model, "link/../data", train={"epochs": 1}), cwd=self.place)
        trained = json.loads((run / "result.json").read_text())
        scored = json.loads(self.succeeds("eval", "--checkpoint", run / "last", "--json", cwd="/").out)
        self.assertEqual(scored["examples"], 16)
        self.assertEqual(scored["loss"], trained["last"]["metrics"]["loss"])

    def test_a_configuration_may_come_from_a_pipe(self):
        self.succeeds("train", "--config", "/dev/stdin", "--out", self.place / "run", stdin=json.dumps(self.configuration))
        resolved = json.loads((self.place / "run" / "config.json").read_text())
        self.assertEqual(resolved["task"]["data"], str(self.data))

    def test_a_pipe_gives_a_run_no_name(self):
        for pipe in ("/dev/stdin", "/dev/fd/0"):
            with self.subTest(pipe=pipe):
                self.fails("train", "--config", pipe, stdin=json.dumps(self.configuration), cwd=self.place, code=2,
                           names=[pipe, "--out"])
        self.assertFalse((self.place / "runs").exists())

    def test_a_link_to_nowhere_is_no_folder(self):
        link = self.place / "run"
        link.symlink_to("nowhere")
        self.fails(*self.arguments_of(link, self.configuration), names=[str(link), "nowhere"])
        self.assertTrue(link.is_symlink())
        self.assertFalse(link.exists())

    def arguments_of(self, run, configuration):
        return "train", "--config", write_json(self.place / "now.json", configuration), "--out", run

    def test_nothing_to_resume_is_an_error(self):
        file = write_json(self.place / "c.json", self.configuration)
        for out in (self.place / "nothing", self.place / "empty"):
            if out.name == "empty":
                out.mkdir()
            self.fails("train", "--config", file, "--out", out, "--resume", names=[out, "--resume"])
        self.assertFalse((self.place / "nothing").exists())

    def test_one_command_begins_a_run_and_goes_on_with_it(self):
        run = self.place / "requeued"
        arguments = ["train", "--config", write_json(self.place / "c.json", self.configuration), "--out", run,
                     "--resume-or-start"]
        self.assertNotIn("resumed", self.succeeds(*arguments).err)
        written = snapshot(run)
        self.assertIn("is finished", self.succeeds(*arguments).err)
        (run / "result.json").unlink()
        self.assertIn("resumed at step", self.succeeds(*arguments).err)
        self.assertEqual(snapshot(run).keys(), written.keys())
        self.fails(*arguments, "--set", "train.seed=7", names=["/train/seed"])
        self.fails(*arguments, "--resume", code=2, names=["--resume", "--resume-or-start"])
        # and where a kill came before its first step
        begun = self.place / "begun"
        begun.mkdir()
        (begun / "config.json").write_bytes((run / "config.json").read_bytes())
        self.assertIn("not finished", self.succeeds("inspect", begun).out)
        arguments[arguments.index(run)] = begun
        self.assertIn("holds no checkpoint yet", self.succeeds(*arguments).err)
        (begun / "config.json").unlink()
        self.fails(*arguments, names=[begun, "holds no run"])
        # a checkpoint and a model have a config.json too
        for other in (run / "best", self.model):
            before = snapshot(other)
            arguments[arguments.index("--out") + 1] = other
            self.fails(*arguments, names=[other, "holds no run"])
            self.assertEqual(snapshot(other), before)

    def test_a_folder_with_other_things_is_left_alone(self):
        other = self.place / "other"
        other.mkdir()
        (other / "letter.txt").write_text("dear")
        file = write_json(self.place / "c.json", self.configuration)
        result = self.fails("train", "--config", file, "--out", other, names=[other, "holds no run", "--out"])
        self.assertNotIn("--resume", result.err)
        self.assertEqual(list(snapshot(other)), ["letter.txt"])

    def test_a_run_killed_while_its_first_file_was_written_is_begun_again(self):
        (self.place / "run").mkdir()
        (self.place / "run" / "config.json.partial").write_text('{"ta')
        run = self.train("run", self.configuration)
        self.assertEqual(list(run.glob("*.partial")), [])

    def test_early_stopping_without_a_dev_set_is_refused(self):
        (self.data / "dev.tsv").unlink()
        file = write_json(self.place / "c.json", self.configuration)
        self.fails("train", "--config", file, "--out", self.place / "run", "--set", "train.patience=2",
                   names=["/train/patience", "no dev set"])
        self.fails("train", "--config", file, "--out", self.place / "run", "--set", "train.best_by=loss",
                   names=["/train/best_by", "no dev set"])
        self.assertFalse((self.place / "run").exists())
        self.succeeds("train", "--config", file, "--out", self.place / "run")

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

    def test_a_run_that_has_lost_its_last_checkpoint_goes_on_from_its_best(self):
        whole, run = (self.train(name, self.configuration) for name in ("whole", "run"))
        (run / "result.json").unlink()
        shutil.rmtree(run / "last")
        step = json.loads((run / "best" / "state.json").read_text())["step"]
        result = self.succeeds("train", "--config", self.place / "run.json", "--out", run, "--resume")
        self.assertIn("goes on from best/", result.err)
        self.assertIn(f"resumed at step {step}", result.err)
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
