"""What the program says about itself: describe, the schema against the shipped configurations, --help and its speed."""

import json
import os
import re
import resource
import subprocess
import tempfile

from support import SOURCE, Case, main, mtlora

TOPICS = ["config", "schema", "methods", "tasks", "metrics", "models", "optimizers"]
COMMANDS = ["train", "plan", "eval", "predict", "compare", "inspect", "bench", "describe"]
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
         "null": type(None)}


def faults(schema, value, at=""):
    """Where `value` departs from `schema`; of JSON Schema just what describe uses."""
    for key in ("anyOf", "oneOf"):
        if key in schema:
            tried = [faults(option, value, at) for option in schema[key]]
            fitting = sum(not found for found in tried)
            if fitting == 0:
                return min(tried, key=len)
            return [f"{at}: fits {fitting} of oneOf"] if key == "oneOf" and fitting > 1 else []
    if "const" in schema:
        return [] if value == schema["const"] else [f"{at}: not {schema['const']}"]
    wanted = schema.get("type")
    if wanted and (not isinstance(value, TYPES[wanted]) or isinstance(value, bool) != (wanted == "boolean")):
        return [f"{at}: not of type {wanted}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at}: not one of {schema['enum']}")
    if "minimum" in schema and value < schema["minimum"]:
        found.append(f"{at}: too small")
    if wanted == "object":
        for key in schema.get("required", []):
            if key not in value:
                found.append(f"{at}/{key}: missing")
        for key, inside in value.items():
            if key in schema.get("properties", {}):
                found += faults(schema["properties"][key], inside, f"{at}/{key}")
            elif schema.get("additionalProperties") is False:
                found.append(f"{at}/{key}: unknown")
    if wanted == "array":
        for i, inside in enumerate(value):
            found += faults(schema.get("items", {}), inside, f"{at}/{i}")
    return found


def without_comments(text):
    """JSON with // comments → JSON; a // inside a string stays."""
    return re.sub(r'("(?:[^"\\]|\\.)*")|//[^\n]*', lambda m: m.group(1) or "", text)


class Describe(Case):
    def test_every_topic_is_described(self):
        for topic in TOPICS:
            with self.subTest(topic=topic):
                self.assertGreater(len(self.succeeds("describe", topic).out), 40)
                self.assertTrue(json.loads(self.succeeds("describe", topic, "--json").out))
        listed = self.succeeds("describe").out
        self.assertIn("methods", json.loads(self.succeeds("describe", "--json").out))
        for topic in TOPICS:
            self.assertIn(topic, listed)
        self.fails("describe", "metods", code=2, names=["metods", "methods"])

    def test_methods_and_optimizers_say_all_of_themselves(self):
        schema = json.loads(self.succeeds("describe", "schema").out)["properties"]
        choices = {"methods": schema["adapter"]["properties"]["method"], "optimizers": schema["optimizer"]}
        for topic, choice in choices.items():
            wanted = {c["properties"]["name"]["const"]: c["properties"] for c in choice["oneOf"]}
            entries = json.loads(self.succeeds("describe", topic, "--json").out)
            texts = self.succeeds("describe", topic).out.split("\n\n")
            self.assertEqual([e["name"] for e in entries], list(wanted))
            self.assertEqual(len(texts), len(entries))
            for entry, text in zip(entries, texts):
                with self.subTest(topic=topic, name=entry["name"]):
                    words = " ".join(text.split())
                    self.assertEqual({"name": {"const": entry["name"]}, **entry["options"]}, wanted[entry["name"]])
                    self.assertTrue(words.startswith(f"{entry['name']}: {entry['summary']}"), text)
                    for key in ("equation", "source"):
                        self.assertGreater(len(entry[key]), 5)
                        self.assertIn(entry[key], words)
                    for name, option in entry["options"].items():
                        self.assertIn(f"{name} = {json.dumps(option['default'])} {option['description']}", words)
                    self.assertLessEqual(max(map(len, text.splitlines())), 100)

    def test_the_cost_of_a_method_is_said_at_rank_8(self):
        wanted = {"lora": (8 * (768 + 768), "rank 8"), "mtlora": (8 * (768 + 768) + 64, "rank 8"), "bitfit": (768, ""),
                  "full": (768 * 768 + 768, ""), "houlsby": (2 * 768 * 64 + 64 + 768, "the defaults")}
        entries = {e["name"]: e["parameters"] for e in json.loads(self.succeeds("describe", "methods", "--json").out)}
        text = self.succeeds("describe", "methods").out
        for name, (count, at) in wanted.items():
            self.assertEqual((entries[name]["count"], entries[name]["at"]), (count, at), name)
            self.assertIn(f"{count:,} trained numbers for {entries[name]['of']}", text)

    def test_the_schema_takes_the_shipped_configurations_and_no_others(self):
        schema = json.loads(self.succeeds("describe", "schema").out)
        files = sorted((SOURCE / "configs").glob("*.json"))
        self.assertGreaterEqual(len(files), 9)
        for file in files:
            value = json.loads(without_comments(file.read_text()))
            self.assertEqual(faults(schema, value), [], file.name)
            value["train"]["epoch"] = 3
            self.assertEqual(faults(schema, value), ["/train/epoch: unknown"])

    def test_a_configuration_may_say_where_its_schema_lies(self):
        schema = json.loads(self.succeeds("describe", "schema").out)
        self.assertEqual(faults(schema, {"$schema": "./mtlora.json"}), [])
        self.assertEqual(faults(schema, {"$schema": 3}), ["/$schema: not of type string"])
        file = self.place / "config.json"
        for value, wanted in ('"./mtlora.json"', "there is no such model"), ("3", "/$schema: expected a string, got 3"):
            file.write_text(f'{{"$schema": {value}, "model": {{"path": "nowhere"}}}}')
            self.fails("train", "--config", str(file), "--out", str(self.place / "run"), names=[wanted])

    def test_the_schema_takes_the_defaults(self):
        schema = json.loads(self.succeeds("describe", "schema").out)
        defaults = json.loads(self.succeeds("describe", "config", "--json").out)
        self.assertEqual(faults(schema, defaults), [])

    def test_help_names_every_command_and_option(self):
        text = self.succeeds("--help").out
        for command in COMMANDS:
            self.assertIn(command, text)
            one = self.succeeds(command, "--help").out
            self.assertIn("Example", one)
        self.assertRegex(self.succeeds("--version").out, r"^\d+\.\d+")

    def completed(self, script, *words):
        """What bash would offer for the last of the words."""
        line = " ".join(f"'{w}'" for w in words)
        code = (f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; compopt() {{ :; }}; _mtlora; "
                'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, text=True)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_bash_completes_command_lines(self):
        with tempfile.NamedTemporaryFile("w", suffix=".bash") as script:
            script.write(self.succeeds("completion").out)
            script.flush()
            offered = lambda *words: self.completed(script.name, "mtlora", *words)
            self.assertLessEqual({*COMMANDS, "--help"}, set(offered("")))
            self.assertEqual(offered("pl"), ["plan"])
            self.assertEqual(offered("train", "--res"), ["--resume", "--resume-or-start"])
            self.assertEqual(offered("describe", "meth"), ["methods"])
            self.assertEqual(offered("train", "--set", "train.ba"), ["train.batch_size="])
            self.assertLessEqual({"adapter.method.structure=", "adapter.method.rank=", "adapter.method.name="},
                                 set(offered("plan", "--set", "adapter.method.")))
            self.assertIn("optimizer.epsilon=", offered("plan", "--set", "optimizer."))
            self.assertEqual(offered("train", "--config", "de"), [])  # then bash offers files

    def test_help_comes_at_once(self):
        # the processor's time, which other work on the machine does not change
        seconds = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            self.assertEqual(mtlora("--help").code, 0)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        # to load CUDA's libraries, 2 GB, takes up to half a second by itself
        self.assertLess(min(seconds), 1 if os.environ.get("MTLORA_TEST_DEVICE") == "cuda" else 0.5)


if __name__ == "__main__":
    main()
