"""Whatever is wrong with the configuration and on the command line: one clear message that names it, exit code 1 (of the
command line 2), nothing written."""

import os
import shutil

import support
from refused import RefusedCase
from support import main, write_json


class BadRequest(RefusedCase):
    # the configuration

    def test_an_unknown_key_names_the_nearest(self):
        self.refused("/train/epoch", "epochs", sets=["train.epoch=3"])
        self.refused("/adapter/method", "dorp", "dropout", sets=["adapter.method.dorpout=0.1"])

    def test_a_pattern_that_names_no_adapted_layer_names_the_nearest(self):
        for pattern in ("rank_pattern", "alpha_pattern"):
            self.refused(f"/adapter/method/{pattern}", '"querry"', 'did you mean "query"',
                         sets=[f'adapter.method.{pattern}={{"querry": 2}}'])
        self.refused("/adapter/method/rank_pattern", '"key"', "bert.encoder.layer.*.attention.self.value",
                     sets=["adapter.method.rank_pattern.key=2"])

    def test_several_problems_come_at_once(self):
        self.refused("/train/epochs", "/train/seed", "/model/pth", "/optimizer/name", "adamw",
                     sets=["train.epochs=0", "train.seed=true", "model.pth=x", "optimizer.name=adam"])

    def test_wrong_types_and_values(self):
        for name, value in (("train.epochs", '"three"'), ("train.batch_size", "2.5"), ("adapter.targets", "7"),
                            ("train.dtype", "fp16"), ("task", "3"), ("adapter.method.rank", "-1"),
                            ("adapter.method.rank_pattern", '{"query": 0}'), ("adapter.method.alpha_pattern", "[4]"),
                            ("model.dropout", "1.0"), ("train.best_by", "f2"), ("optimizer.lr", "-1"),
                            ("train.threads", "0"), ("train.threads", "100000")):
            with self.subTest(option=name):
                self.refused("/" + name.replace(".", "/"), sets=[f"{name}={value}"])

    def test_a_missing_or_broken_configuration(self):
        self.fails("train", "--config", "nowhere.json", "--out", self.out, names=["nowhere.json"])
        broken = self.place / "broken.json"
        broken.write_text('{"task": {\n  "name": text\n}}')
        self.fails("train", "--config", broken, "--out", self.out, names=[f"{broken}:2"])
        broken.write_text("[]")
        self.fails("train", "--config", broken, "--out", self.out, names=[broken])
        broken.write_bytes(b'{"task": "\xff"}')
        self.fails("train", "--config", broken, "--out", self.out, names=[broken])
        self.fails("train", "--config", self.place, "--out", self.out, names=[self.place, "is a folder"])
        loop = self.place / "loop"
        loop.symlink_to("loop")
        self.addCleanup(loop.unlink)
        self.fails("train", "--config", loop, "--out", self.out, names=[f"error: {loop}: Too many levels"])
        file = write_json(broken, self.base)
        self.fails("train", "--config", file, "--set", "adapter.method={'name': 'lora'}", "--out", self.out, code=2,
                   names=["--set adapter.method={'name': 'lora'}", "not valid JSON"])
        for given, meant in (("epochs=3", "train.epochs"), ("adapter.rank=4", "adapter.method.rank")):
            self.fails("train", "--config", file, "--set", given, "--out", self.out, code=2,
                       names=[f"--set {given}: there is no option", f"did you mean {meant}"])
        self.fails("train", "--config", file, "--set", "nonsense", "--out", self.out, code=2,
                   names=["--set nonsense", "PATH=VALUE"])

    def test_numbers_beyond_all_reason(self):
        self.refused("memory", sets=["adapter.method.rank=100000000000"])
        self.refused("memory", sets=["adapter.method.rank_pattern.query=100000000000"])
        self.refused("/train/batch_size", "1000000", sets=["train.batch_size=9223372036854775807"])
        self.refused("/train/evaluation_batch_size", "1000000", sets=["train.evaluation_batch_size=9223372036854775807"])
        self.refused("/train/epochs", sets=["train.epochs=9223372036854775807"])

    def test_epochs_that_would_not_count_are_refused(self):
        steps = {**self.base, "train": {**self.base["train"], "max_steps": 5}}
        self.refused("--set train.epochs=3", "train.max_steps=5", "train.max_steps=null", code=2, config=steps,
                     sets=["train.epochs=3"])
        self.refused("/train/seed", "more than", sets=["train.seed=18446744073709551615"])
        self.refused("/schedule/warmup_steps", "3", sets=["schedule.warmup_steps=100"])

    def test_metrics_are_checked_before_training(self):
        self.refused("nope", "accuracy", sets=['task.metrics=["nope"]'])
        self.refused("pearson", sets=['task.metrics=["pearson"]'])
        self.refused("accuracy", sets=["task.kind=regression", 'task.metrics=["accuracy"]'])

    def test_texts_that_are_cut_cannot_be_left_out(self):
        self.refused("/train/max_overlong", "the task text", "train.max_length", sets=["train.max_overlong=3"])

    def test_label_smoothing_of_a_regression_is_refused(self):
        changed = self.data_with("scores", "text\tlabel\na good film\t0.9\na bad film\t0.1\n")
        changed["task"] |= {"kind": "regression", "dev": "train.tsv"}
        self.refused("/train/label_smoothing", "0.1", "regression", config=changed, sets=["train.label_smoothing=0.1"])
        stsb = {**self.base, "task": {"name": "stsb", "data": str(support.SOURCE / "data" / "samples" / "stsb")}}
        self.refused("/train/label_smoothing", "stsb", config=stsb, sets=["train.label_smoothing=0.1"])
        self.train("scores_run", changed)  # 0 is the default

    def test_cuda_without_a_device_is_refused(self):
        self.refused("/train/device", '"cpu"', sets=["train.device=cuda"], environment={"CUDA_VISIBLE_DEVICES": ""})

    def test_a_target_that_matches_nothing_lists_what_there_is(self):
        self.refused("/adapter/targets", "qeury", "attention.self.query", sets=['adapter.targets=["qeury"]'])
        self.refused("/adapter/targets", sets=["adapter.targets=[]"])
        self.refused("/adapter/trainable", "pooler.nothing", sets=['adapter.trainable=["pooler.nothing"]'])

    def test_more_tokens_than_the_model_takes(self):
        self.refused("/train/max_length", "65", "64", sets=["train.max_length=65"])

    def test_fewer_tokens_than_the_special_ones_of_a_pair(self):
        pairs = {**self.base, "task": {"name": "mrpc", "data": str(support.SOURCE / "data" / "samples" / "mrpc")}}
        self.refused("train.max_length", "2 tokens", "special tokens", "3", config=pairs, sets=["train.max_length=2"])

    def test_a_current_folder_that_is_not_utf8(self):
        folder = os.path.join(os.fsencode(self.place), b"caf\xe9")
        os.mkdir(folder)
        self.addCleanup(shutil.rmtree, folder)
        os.symlink(self.model, os.path.join(folder, b"model"))
        self.refused("the current folder's path is not UTF-8", config={**self.base, "model": {"path": "model"}}, cwd=folder)
        self.fails("train", "--config", self.place / "c.json", "--out", "run", cwd=folder, names=["is not UTF-8"])
        self.assertEqual(os.listdir(folder), [b"model"])

    # the command line

    def test_a_wrong_command_line_is_exit_code_2(self):
        for wrong in ([], ["trian"], ["train"], ["train", "--config"], ["eval", "--chekpoint", "x"], ["inspect"],
                      ["describe", "methods", "more"], ["bench", "--config", "c.json", "--steps", "many"]):
            with self.subTest(arguments=wrong):
                result = self.fails(*wrong, code=2)
                self.assertTrue(result.err)
                self.assertEqual(result.out, "")

    def test_no_option_is_taken_for_anothers_value(self):
        file = write_json(self.place / "c.json", self.base)
        for wrong, wanted in ((["--out=", "--resume"], ["--out", "--resume"]), (["--out", "--resume-or-start"], ["--out", "--resume-or-start"]),
                              (["--out", ""], ["--out", "names no folder"])):
            with self.subTest(arguments=wrong):
                self.fails("train", "--config", file, *wrong, code=2, names=wanted, cwd=self.place)
        self.fails("eval", "--checkpoint", "x", "--split=", "--json", code=2, names=["--split", "--json"])

    def test_a_mistyped_word_comes_before_what_is_missing_for_want_of_it(self):
        for wrong, wanted in (("train --confg my.json", 'mtlora train: unknown option "--confg"; did you mean "--config"?'),
                              ("train --confg=my.json", 'mtlora train: unknown option "--confg"; did you mean "--config"?'),
                              ("train --config my.json --resmue", 'mtlora train: unknown option "--resmue"; did you mean'),
                              ("trian", 'unknown command "trian"; did you mean "train"?'),
                              ("trian --config my.json", 'unknown command "trian"; did you mean "train"?'),
                              ("describe methods more", 'mtlora describe: unexpected argument "more"')):
            with self.subTest(arguments=wrong):
                err = self.fails(*wrong.split(), code=2, names=[wanted]).err
                self.assertEqual(err.count("\n"), 2, err)  # it, and how to get help
                self.assertNotIn("is required", err)
        self.fails("train", "--confg", "x", "--rseume", "y", "z", code=2, names=["--config", "--resume", '"z"'])


if __name__ == "__main__":
    main()
