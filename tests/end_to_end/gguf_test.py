"""A Llama in a GGUF file: trained, exported, and generating what the exported folder does."""

import json

from gguf_llama import FACTOR, gguf_llama, llama2_tokens, llama3_tokens
from gpt2 import pairs, writing
from support import SharedCase, main

TOKENIZERS = {"llama3": (llama3_tokens, "tokenizer.json"), "llama2": (llama2_tokens, "tokenizer.model")}


class Gguf(SharedCase):
    def prepare(self):
        data = pairs(self.place / "data", ["red", "green"])
        for name, (tokenizer, _) in TOKENIZERS.items():
            model = gguf_llama(self.place / f"{name}.gguf", tokenizer)
            adapter = {"targets": ["q_proj", "v_proj", "down_proj"]}
            self.train(name, writing(model, data, "data_to_text", adapter=adapter))

    def text(self, *arguments):
        out = self.succeeds("generate", *arguments, "--set", "generate.decoder=greedy", "--set", "generate.max_new_tokens=40",
                            "--set", "generate.separator=true", "--set", "train.dtype=fp32", stdin="what : red\n").out
        return json.loads(out)["text"]

    def test_an_exported_folder_writes_what_the_checkpoint_does(self):
        for name, (_, file) in TOKENIZERS.items():
            with self.subTest(tokenizer=name):
                checkpoint, out = self.place / name / "best", self.place / f"{name}-merged"
                self.assertTrue((checkpoint / file).is_file())
                self.succeeds("export", "--checkpoint", checkpoint, "--out", out)
                written = self.text("--checkpoint", checkpoint)
                self.assertGreater(len(written), 5)
                self.assertEqual(self.text("--model", out), written)
                settings = json.loads((out / "config.json").read_text())
                self.assertEqual(settings["rope_scaling"],
                                 {"rope_type": "llama3", "factor": FACTOR, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                  "original_max_position_embeddings": 8192})

    def test_peft_has_to_be_told_the_base(self):
        out = self.place / "peft"
        arguments = ["export", "--checkpoint", self.place / "llama3" / "best", "--format", "peft", "--out", out]
        self.fails(*arguments, names=["llama3.gguf", "--base"])
        self.assertFalse(out.exists())
        self.succeeds(*arguments, "--base", "some/llama")
        settings = json.loads((out / "adapter_config.json").read_text())
        self.assertEqual(settings["base_model_name_or_path"], "some/llama")
        self.assertIn("model.layers.0.self_attn.q_proj", settings["target_modules"])
        model = self.place / "llama3.gguf"
        self.assertEqual(self.text("--checkpoint", out, "--set", f"model.path={model}"),
                         self.text("--checkpoint", self.place / "llama3" / "best"))


if __name__ == "__main__":
    main()
