"""predict, and models with heads of their own: whose labels answer, and what may be asked."""

import json
import random
import shutil
import struct

from support import (TrainedCase, config, conversation, main, read_safetensors, sentence, write_json,
                     write_safetensors)


class Predict(TrainedCase):
    def test_predict_answers_a_line_for_a_line(self):
        choose = random.Random(9)
        words = [choose.choice(["good", "bad"]) for _ in range(600)]
        text = "".join(sentence(word, choose) + "\n" for word in words)
        best = self.run_folder / "best"
        out = self.succeeds("predict", "--checkpoint", best, stdin=text, cwd=self.place / "elsewhere").out
        answers = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(len(answers), 600)
        for answer in answers:
            self.assertEqual(set(answer), {"label", "probabilities"})
            self.assertAlmostEqual(sum(answer["probabilities"]), 1.0, places=12)
        right = sum(answer["label"] == word for answer, word in zip(answers, words))
        self.assertGreater(right, 480)
        # the same texts as JSON lines, from a file; alone, in other company; the last line without its end
        lines = text.splitlines()
        file = self.place / "texts.jsonl"
        file.write_text("\n".join(json.dumps({"text": line}) for line in lines))
        self.assertEqual(self.succeeds("predict", "--checkpoint", best, "--input", file).out, out)
        alone = json.loads(self.succeeds("predict", "--checkpoint", best, stdin=lines[0]).out)
        for a, b in zip(alone["probabilities"], answers[0]["probabilities"]):
            self.assertAlmostEqual(a, b, places=5)
        marked = self.place / "marked.txt"  # a byte-order mark is no part of the first line
        marked.write_bytes(b"\xef\xbb\xbf" + text.encode())
        self.assertEqual(self.succeeds("predict", "--checkpoint", best, "--input", marked).out, out)
        self.assertEqual(self.succeeds("predict", "--checkpoint", best, stdin="\ufeff" + text).out, out)
        self.assertEqual(self.succeeds("predict", "--checkpoint", best, stdin="").out, "")
        odd = self.succeeds("predict", "--checkpoint", best, stdin="\n\n \ngood film\r\n").out
        self.assertEqual(len(odd.splitlines()), 4)

    def test_a_stream_is_answered_as_it_comes(self):
        lines = ["a good film", "a bad film", ""]
        answers, rest, code = conversation("predict", "--checkpoint", self.run_folder / "best", lines=lines)
        self.assertEqual([json.loads(answer)["label"] for answer in answers[:2]], ["good", "bad"])
        self.assertIn("label", json.loads(answers[2]))
        self.assertEqual((rest, code), ("", 0))

    def test_dev_predictions_give_the_accuracy(self):
        rows = [line.split("\t") for line in (self.data / "dev.tsv").read_text().splitlines()[1:]]
        best = self.run_folder / "best"
        out = self.succeeds("predict", "--checkpoint", best, stdin="".join(text + "\n" for text, _ in rows)).out
        right = sum(json.loads(line)["label"] == label for line, (_, label) in zip(out.splitlines(), rows))
        accuracy = json.loads(self.succeeds("eval", "--checkpoint", best, "--json").out)["metrics"]["accuracy"]
        self.assertEqual(right / len(rows), accuracy)

    def test_a_split_is_predicted_as_its_texts_are(self):
        texts = (self.data / "test.tsv").read_text().splitlines()[1:]  # without labels
        best = self.run_folder / "best"
        by_line = self.succeeds("predict", "--checkpoint", best, stdin="".join(text + "\n" for text in texts)).out
        self.assertEqual(self.succeeds("predict", "--checkpoint", best, "--split", "test").out, by_line)
        self.assertEqual(len(self.succeeds("predict", "--checkpoint", best, "--split", "dev").out.splitlines()), 64)
        self.fails("predict", "--checkpoint", best, "--split", "test", "--input", "-", names=["--input", "--split"],
                   code=2)

    def test_a_table_is_not_taken_for_lines_of_text(self):
        best = self.run_folder / "best"
        for name in ("table.tsv", "table.csv", "table.json"):
            file = self.place / name
            file.write_text("text\n")
            self.fails("predict", "--checkpoint", best, "--input", file, names=[name, "--split test"])
        named = ("--split", "test", "--set", f"task.test={self.data / 'dev.tsv'}")
        self.assertEqual(self.succeeds("predict", "--checkpoint", best, *named).out,
                         self.succeeds("predict", "--checkpoint", best, "--split", "dev").out)

    def test_a_pair_is_two_columns(self):
        pairs = ("predict", "--model", self.model, "--set", "task.text_pair=text_pair")
        self.succeeds(*pairs, stdin="a film\ta house\n")
        self.fails(*pairs, stdin="a film\ta house\n17\ta film\ta house\n", names=["stdin:2", "3 columns"])

    def test_lines_that_end_in_cr_alone_are_not_one_text(self):
        file = self.place / "lines.txt"
        file.write_bytes(b"a film\ra night\r")
        self.fails("predict", "--checkpoint", self.run_folder / "best", "--input", file, names=[file, "CR"])

    def test_json_lines_may_have_the_tasks_keys(self):
        best, file = self.run_folder / "best", self.place / "own.JSONL"
        wanted = self.succeeds("predict", "--checkpoint", best, stdin="good film\n").out
        file.write_text('{"text": "good film"}\n')
        self.assertEqual(self.succeeds("predict", "--checkpoint", best, "--input", file).out, wanted)
        file.write_text('{"sentence": "good film"}\n')
        given = ("predict", "--checkpoint", best, "--input", file)
        self.assertEqual(self.succeeds(*given, "--set", "task.text=sentence").out, wanted)
        self.fails(*given, names=[f"{file}:1", "text"])
        file.write_text('{"text": "good", "text_pair": "film"}\n')
        self.fails(*given, names=[f"{file}:1", "text_pair", "single texts"])

    def test_a_plain_model_folder_is_evaluated_with_its_own_head(self):
        # the golden's head has three outputs; this task's third label is never right
        task = {"labels": ["bad", "good", "other"]}
        file = self.place / "plain.json"
        file.write_text(json.dumps({k: v for k, v in config("model", "data", task=task).items() if k != "adapter"}))
        out = self.succeeds("eval", "--model", self.model, "--config", file, "--json", cwd=self.place).out
        self.assertEqual(json.loads(out)["examples"], 64)
        self.fails("eval", "--model", self.model, "--config", file, "--set", 'task.labels=["bad", "good"]',
                   cwd=self.place, names=["3 outputs", "2"])

    def test_a_models_labels_in_another_order_are_put_in_the_tasks(self):
        task = {"labels": ["bad", "good", "other"]}
        file = write_json(self.place / "order.json", {k: v for k, v in config("model", "data", task=task).items()
                                                      if k != "adapter"})
        model = self.place / "turned"
        shutil.copytree(self.model, model)

        def answers(*labels, ours=task["labels"]):
            settings = json.loads((self.model / "config.json").read_text())
            settings["id2label"] = {str(i): label for i, label in enumerate(labels)}
            write_json(model / "config.json", settings)
            result = self.succeeds("predict", "--model", model, "--config", file, "--set", f"task.labels={json.dumps(ours)}",
                                   cwd=self.place, stdin="a good film\n")
            return json.loads(result.out)["probabilities"], "in the task's order" in result.err

        same, was_turned = answers("LABEL_0", "LABEL_1", "LABEL_2")
        self.assertFalse(was_turned)
        self.assertEqual(answers("bad", "good", "other"), (same, False))
        # labels that differ in case alone
        self.assertEqual(answers("a", "A", "b", ours=["b", "a", "A"]), ([same[2], same[0], same[1]], True))
        self.assertEqual(answers("A", "a", "b", ours=["a", "A", "b"]), ([same[1], same[0], same[2]], True))
        turned, was_turned = answers("OTHER", "Bad", "good")
        self.assertTrue(was_turned)
        self.assertEqual(turned, [same[1], same[2], same[0]])

        # training goes on from the head that is there
        still = {"optimizer": {"lr": 0}, "train": {"max_steps": 1}, "task": task}
        run = self.train("still", config(str(model), "data", **still), cwd=self.place)
        answer = json.loads(self.succeeds("predict", "--checkpoint", run / "last", stdin="a good film\n").out)
        for a, b in zip(answer["probabilities"], turned):
            self.assertAlmostEqual(a, b, places=6)

        # other names are taken as they stand, and that is said
        settings = json.loads((model / "config.json").read_text())
        settings["id2label"] = {"0": "negative", "1": "positive", "2": "neutral"}
        write_json(model / "config.json", settings)
        given = ("predict", "--model", model, "--config", file)
        result = self.succeeds(*given, cwd=self.place, stdin="a good film\n")
        self.assertIn("negative, positive, neutral", result.err)
        self.assertEqual(json.loads(result.out)["probabilities"], same)

    def test_a_model_alone_answers_with_its_own_labels(self):
        model = self.place / "alone"
        shutil.copytree(self.model, model)
        settings = json.loads((model / "config.json").read_text())
        settings["id2label"] = {"0": "sad", "1": "glad", "2": "mad"}
        write_json(model / "config.json", settings)
        answer = json.loads(self.succeeds("predict", "--model", model, "--set", "train.max_length=32",
                                          stdin="a good film\n").out)
        self.assertIn(answer["label"], settings["id2label"].values())
        self.assertEqual(len(answer["probabilities"]), 3)

        # what is said of its task, without a name, is said of that one
        given = ("predict", "--model", model, "--set", "train.max_length=32")
        pairs = (*given, "--set", "task.text_pair=text_pair")
        self.fails(*given, stdin="a good film\na film\ta story\n", names=["stdin:2", "tab", pairs[-1], ".jsonl"])
        one = json.loads(self.succeeds(*pairs, stdin="a film\ta story\n").out)
        self.assertIn(one["label"], settings["id2label"].values())
        file = self.place / "pairs.jsonl"
        file.write_text(json.dumps({"text": "a film", "text_pair": "a story"}) + "\n")
        self.assertEqual(json.loads(self.succeeds(*pairs, "--input", file).out), one)

        # a model of one segment has no pairs
        weights, _ = read_safetensors(model / "model.safetensors")
        name = "bert.embeddings.token_type_embeddings.weight"
        dtype, (_, width), content = weights[name]
        weights[name] = dtype, [1, width], content[:4 * width]
        write_safetensors(model / "model.safetensors", weights)
        write_json(model / "config.json", {**settings, "type_vocab_size": 1})
        self.fails(*pairs, stdin="a film\ta story\n", names=[model, "2 segments", "only 1", "type_vocab_size"])
        self.succeeds(*given, stdin="a film\n")

    def test_outputs_that_are_no_numbers_are_told_with_their_line(self):
        model = self.place / "broken"
        shutil.copytree(self.model, model)
        weights, _ = read_safetensors(model / "model.safetensors")
        dtype, shape, content = weights["classifier.bias"]
        weights["classifier.bias"] = dtype, shape, struct.pack("<f", float("nan")) + content[4:]
        write_safetensors(model / "model.safetensors", weights)
        given = ("predict", "--model", model, "--set", "train.max_length=32")
        result = self.fails(*given, stdin="a good film\n", names=["stdin:1", "not finite numbers"])
        self.assertEqual(result.out, "")
        self.fails(*given, "--split", "dev", "--set", f"task.data={self.data}",
                   "--set", 'task.labels=["bad", "good", "other"]', names=["example 1 of dev", "not finite numbers"])

    def test_a_head_of_several_labels_a_text_is_refused(self):
        model = self.place / "several"
        shutil.copytree(self.model, model)
        settings = json.loads((model / "config.json").read_text())
        write_json(model / "config.json", {**settings, "problem_type": "multi_label_classification"})
        self.fails("predict", "--model", model, stdin="a good film\n", names=[model, "multi_label_classification"])
        task = {"labels": ["bad", "good", "other"]}
        file = write_json(self.place / "several.json", config(str(model), str(self.data), task=task))
        self.fails("eval", "--model", model, "--config", file, names=["multi_label_classification"])
        self.fails("train", "--config", file, "--out", self.place / "several_run", names=["multi_label_classification"])
        # a new head is of one label a text, and says so where it is exported
        run = self.train("new_head", config(str(model), str(self.data), train={"max_steps": 1}))
        self.succeeds("export", "--checkpoint", run / "last", "--out", self.place / "exported")
        exported = json.loads((self.place / "exported" / "config.json").read_text())
        self.assertEqual(exported["problem_type"], "single_label_classification")

    def test_inspect_counts_a_models_own_head(self):
        out = self.succeeds("inspect", self.model).out
        self.assertNotIn("would be new", out)
        rows = {line.split()[0]: line.split()[-1] for line in out.splitlines() if line}
        self.assertEqual(rows["all"], out.splitlines()[-1].split()[0])


if __name__ == "__main__":
    main()
