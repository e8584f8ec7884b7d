"""mtlora generate: a text for each context, in order, from whatever gives the contexts; and what it refuses."""

import json

from gpt2 import SAMPLES, gpt2_model, writing
from support import SharedCase, bert_model, config, main, sentiment, write_json


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

    def test_a_long_context_loses_its_beginning_and_that_is_said(self):
        result = self.succeeds("generate", *self.checkpoint, stdin="x" * 400 + " y\n" + "z\n")
        self.assertIn("1 of 2 contexts are longer than 288 tokens", result.err)
        self.refused(*self.checkpoint, "--set", "generate.max_new_tokens=299", stdin="x\n",
                     names=["/generate/max_new_tokens", "299", "300"])

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


if __name__ == "__main__":
    main()
