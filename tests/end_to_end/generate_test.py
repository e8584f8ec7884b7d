"""mtlora generate: a text for each context, in order, from whatever gives the contexts; and what it refuses."""

import json
import shutil

from gpt2 import SAMPLES, gpt2_model, writing
from support import SharedCase, bert_model, config, conversation, main, sentiment, write_json


class Generate(SharedCase):
    def prepare(self):
        model = gpt2_model(self.place / "model")
        self.train("run", writing(model, SAMPLES / "e2e", "e2e"))
        self.train("labels", config(bert_model(self.place / "bert"), sentiment(self.place / "sentiment", 32, 16),
                                    train={"max_steps": 2}))

    def setUp(self):
        super().setUp()
        self.checkpoint = ["--checkpoint", self.place / "run" / "best"]

    def texts(self, *arguments, **options):
        lines = self.succeeds("generate", *self.checkpoint, *arguments, **options).out.splitlines()
        for line in lines:
            self.assertEqual(list(json.loads(line)), ["text"])
        return [json.loads(line)["text"] for line in lines]

    def refused(self, *arguments, names, **options):
        self.assertEqual(self.fails("generate", *arguments, names=names, **options).out, "")

    def test_each_context_gets_one_line_in_order(self):
        contexts = [f"name : {'x' * (i * 7 % 40)} {i}" for i in range(20)]
        together = self.texts("--input", "-", stdin="\n".join(contexts))
        self.assertEqual(len(together), 20)
        self.assertGreater(len(set(together)), 4)
        self.assertEqual(self.texts(stdin=contexts[9] + "\n"), [together[9]])
        self.assertEqual(self.texts("--input", "-", stdin="\r\n".join(contexts) + "\r\n"), together)
        file = self.place / "contexts.jsonl"
        file.write_text("\r\n".join(json.dumps({"prompt": c, "other": 1}) for c in contexts) + "\r\n")
        self.assertEqual(self.texts("--input", file), together)

    def test_a_stream_is_answered_as_it_comes(self):
        lines = ["name : A", "name : B"]
        answers, rest, code = conversation("generate", *self.checkpoint, lines=lines)
        self.assertEqual([json.loads(answer)["text"] for answer in answers], self.texts(stdin="\n".join(lines)))
        self.assertEqual((rest, code), ("", 0))

    def test_json_lines_have_their_context_where_the_task_says(self):
        file = self.place / "own.jsonl"
        file.write_text('{"prompt": "other", "question": "name : A"}\n')
        wanted = self.texts("--input", "-", stdin="name : A\n")
        task = {"name": "data_to_text", "prompt": "question", "data": str(self.place)}
        self.assertEqual(self.texts("--input", file, "--set", f"task={json.dumps(task)}"), wanted)
        file.write_text('{"prompt": "name : A"}\n')
        self.refused(*self.checkpoint, "--input", file, "--set", f"task={json.dumps(task)}", names=[f"{file}:1", "question"])

    def test_a_byte_order_mark_before_the_contexts_is_none_of_them(self):
        wanted = self.texts(stdin="name : A\nname : B\n")
        for name, given in (("lines.txt", "name : A\nname : B\n"), ("lines.jsonl", '{"prompt": "name : A"}\n{"prompt": "name : B"}\n')):
            (self.place / name).write_bytes(b"\xef\xbb\xbf" + given.encode())
            self.assertEqual(self.texts("--input", self.place / name), wanted, name)
        self.assertEqual(self.texts(stdin=b"\xef\xbb\xbfname : A\nname : B\n"), wanted)
        self.assertEqual(self.texts(stdin=b"\xef\xbb\xbf"), [])
        self.refused(*self.checkpoint, stdin=b"\xff\xfea\0", names=["stdin", "UTF-16"])

    def test_an_empty_line_is_a_context_and_no_line_is_none(self):
        self.assertEqual(len(self.texts(stdin="a\n\nb\n")), 3)
        self.assertEqual(self.texts(stdin=""), [])

    def test_a_split_gives_what_the_run_wrote(self):
        wanted = (self.place / "run" / "test.outputs.txt").read_text().splitlines()
        self.assertEqual(self.texts("--split", "test"), wanted)
        contexts = list(dict.fromkeys(line.split("||")[0] for line in (SAMPLES / "e2e" / "test.txt").read_text().splitlines()))
        self.assertEqual(self.texts(stdin="\n".join(contexts)), wanted)

    def test_a_setting_changes_what_is_written(self):
        self.assertLess(len(self.texts("--set", "generate.max_new_tokens=3", stdin="name : A")[0]), 4)

    def test_wrong_input_is_refused(self):
        self.refused(*self.checkpoint, stdin=b"good\n\xff\xfe\n", names=["stdin:2", "UTF-8"])
        self.refused(*self.checkpoint, "--input", "-", "--split", "test", names=["--input", "--split"], code=2)
        self.refused(*self.checkpoint, "--split", "tset", names=['did you mean "test"'])
        for path in (self.place / "nothing", self.place):
            self.refused(*self.checkpoint, "--input", path, names=[path])
        for row in ('{"prompts": "x"}', '{"prompt": 3}', "[]", '{"prompt":'):
            file = self.place / "bad.jsonl"
            file.write_text('{"prompt": "a"}\n' + row + "\n")
            self.refused(*self.checkpoint, "--input", file, names=[f"{file}:2"])

    def test_a_table_is_not_taken_for_contexts(self):
        table = SAMPLES / "e2e_csv" / "testset_w_refs.csv"
        for name in ("table.csv", "table.TSV", "table.json"):
            file = self.place / name
            shutil.copyfile(table, file)
            self.refused(*self.checkpoint, "--input", file, names=[name, "--split test"])
        self.assertEqual(self.texts("--split", "test", "--set", f"task.test={table}"), self.texts("--split", "test"))

    def test_a_long_context_loses_its_beginning_and_that_is_said(self):
        result = self.succeeds("generate", *self.checkpoint, stdin="x" * 400 + " y\n" + "z\n")
        self.assertIn("1 of 2 contexts are longer than 288 tokens", result.err)
        self.refused(*self.checkpoint, "--set", "generate.max_new_tokens=299", stdin="x\n",
                     names=["/generate/max_new_tokens", "299", "300"])

    def test_a_context_that_cannot_be_continued_is_named(self):
        file = self.place / "ends.jsonl"  # the prompt holds every end, so that none may come again
        file.write_text(json.dumps({"prompt": "name :\n\n A"}) + "\n")
        self.refused(*self.checkpoint, "--set", "generate.decoder=greedy", "--set", "generate.no_repeat_ngram=1", "--set",
                     "generate.max_new_tokens=300", "--set", "train.max_length=320", "--input", file,
                     names=['the context "name :\\n\\n A": after ', "no_repeat_ngram = 1"])

    def test_an_option_that_is_not_utf8_is_a_wrong_command_line(self):
        self.refused(*self.checkpoint, "--set", "generate.decoder=\udcff", stdin="x\n", code=2, names=["--set generate", "UTF-8"])

    def test_models_and_tasks_of_other_kinds_are_refused(self):
        labels = ["--checkpoint", self.place / "labels" / "best"]
        self.refused(*labels, stdin="x\n", names=["generate", "predict"])
        self.refused(*labels, "--split", "test", names=["generate", "predict"])
        self.fails("predict", *self.checkpoint, stdin="x\n", names=["predict", "generate"])
        wrong = {"bert": writing(self.place / "bert", SAMPLES / "e2e", "e2e"),
                 "gpt2": config(self.place / "model", self.place / "sentiment", adapter={"targets": ["c_attn"]}),
                 str(self.place / "absent"): writing(self.place / "model", self.place / "absent", "e2e")}
        for named, settings in wrong.items():
            file = write_json(self.place / "wrong.json", settings)
            self.fails("train", "--config", file, "--out", self.place / "wrong", names=[named])
            self.assertFalse((self.place / "wrong").exists())


class ModelAlone(SharedCase):
    """--model without a task: the prompt is continued as it is."""

    def prepare(self):
        gpt2_model(self.place / "letters", writes=b"abcd")
        gpt2_model(self.place / "breaks", writes=b"\n")

    def written(self, model, *arguments, stdin="ab\n", **options):
        """The text for one prompt, by greedy decoding, and what stderr says."""
        result = self.succeeds("generate", "--model", model, "--set", "generate.decoder=greedy", "--set",
                               "generate.no_repeat_ngram=2", "--set", "generate.max_new_tokens=24", "--set",
                               "train.max_length=128", *arguments, stdin=stdin, **options)
        return json.loads(result.out)["text"], result.err

    def changed(self, name, **files):
        """A copy of the model that writes letters, with further files."""
        folder = self.place / name
        shutil.copytree(self.place / "letters", folder)
        for file, content in files.items():
            write_json(folder / f"{file}.json", content)
        return folder

    def test_the_prompt_is_continued(self):
        text, _ = self.written(self.place / "letters")
        self.assertGreater(len(text), 9)
        self.assertTrue(self.written(self.place / "letters", stdin=f"ab{text[:6]}\n")[0].startswith(text[6:]))
        self.assertEqual(self.written(self.place / "breaks", "--set", "generate.no_repeat_ngram=0")[0], "\n" * 24)
        self.assertNotEqual(self.written(self.place / "letters", stdin="\n")[0], "")

    def test_ids_that_the_tokenizer_does_not_have_are_no_text(self):
        vocabulary = json.loads((self.place / "letters" / "vocab.json").read_text())
        del vocabulary["c"]
        text, _ = self.written(self.place / "letters")
        self.assertIn("c", text)
        self.assertEqual(self.written(self.changed("fewer", vocab=vocabulary))[0], text.replace("c", ""))

    def test_the_separator_of_training_is_there_where_it_is_asked_for(self):
        plain, asked = (self.written(self.place / "letters", "--set", f"generate.separator={value}")[0]
                        for value in ("false", "true"))
        self.assertEqual(self.written(self.place / "letters")[0], plain)
        file = write_json(self.place / "task.json", {"task": {"name": "e2e"}})
        self.assertEqual(self.written(self.place / "letters", "--config", file)[0], asked)
        self.assertNotEqual(asked, plain)
        self.assertEqual(self.written(self.place / "breaks", "--config", file)[0], "")

    def test_a_chat_template_is_said_not_to_be_applied(self):
        chat = self.changed("chat", tokenizer_config={"chat_template": "{{ messages }}"})
        self.assertIn(f"{chat}: has a chat template, which is not applied", self.written(chat)[1])
        for model, arguments in ((self.place / "letters", []), (chat, ["--set", "generate.separator=true"])):
            self.assertNotIn("chat template", self.written(model, *arguments)[1])

    def test_the_end_tokens_of_the_models_files_count(self):
        text, _ = self.written(self.place / "letters")
        one, two = sorted(set(text), key=text.index)[1:3]
        config = json.loads((self.place / "letters" / "config.json").read_text())
        by_config = self.changed("by_config", config={**config, "eos_token_id": ord(two)}, generation_config={})
        self.assertEqual(self.written(by_config)[0], text[:text.index(two)])
        by_list = self.changed("by_list", config={**config, "eos_token_id": ord(two)},
                               generation_config={"eos_token_id": [ord(one), 5000]})
        self.assertEqual(self.written(by_list)[0], text[:text.index(one)])
        wrong = self.changed("wrong", generation_config={"eos_token_id": "</s>"})
        self.fails("generate", "--model", wrong, "--set", "train.max_length=128", stdin="ab\n",
                   names=[wrong / "generation_config.json", "eos_token_id", "</s>"])

    def test_special_tokens_are_left_out_of_the_text(self):
        text, _ = self.written(self.place / "letters")
        special = self.changed("special", special_tokens_map={"additional_special_tokens": [text[1]]})
        self.assertEqual(self.written(special)[0], text.replace(text[1], ""))

    def test_the_model_is_named_once(self):
        letters = self.place / "letters"
        for assignment in (f"model.path={letters}", 'model={"path": "x"}'):
            self.fails("generate", "--model", letters, "--set", assignment, code=2, names=["--model", "model.path"])


if __name__ == "__main__":
    main()
