"""mtlora score: the numbers and the shapes it prints for files of texts, and what it refuses."""

import json
import math

from support import SharedCase, main

OUTPUTS = ["the cat sat on the mat", "the dog ran in the park today"]
FIRST = ["the cat is on the mat", "a dog ran in the park today"]
SECOND = ["there is a cat on the mat", ""]
WITHOUT_METEOR = "bleu,nist,chrf,chrf++,cider,rouge_l,ter"
PRESETS = {"e2e": (["bleu", "nist", "meteor", "rouge_l", "cider"], False, "mteval-v13a"),
           "webnlg": (["bleu", "meteor", "ter"], True, "multi-bleu"), "dart": (["bleu", "meteor", "ter"], True, "multi-bleu")}


class Files(SharedCase):
    """Outputs and references in files."""

    def prepare(self):
        for name, lines in (("outputs", OUTPUTS), ("first", FIRST), ("second", SECOND), ("one", OUTPUTS[:1]),
                            ("blank", ["", ""]), ("none", [])):
            (self.place / f"{name}.txt").write_text("".join(line + "\n" for line in lines))

    def file(self, name, content=None):
        path = self.place / (name if "." in name else name + ".txt")
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def arguments(self, *given, outputs="outputs", references=("first",)):
        return ["score", *given, "--hypotheses", self.file(outputs), "--references", *map(self.file, references)]

    def scores(self, *given, **files):
        out = self.succeeds(*self.arguments(*given, "--json", **files)).out
        self.assertEqual(out.count("\n"), 1)
        return json.loads(out)

    def refused(self, *given, names, code=1, **files):
        self.assertEqual(self.fails(*self.arguments(*given, **files), names=names, code=code).out, "")


class Numbers(Files):
    def test_bleu_is_its_formula(self):
        for variant in ("multi-bleu", "mteval-v13a", "sacrebleu"):
            bleu = self.scores("--metrics", f"bleu:variant={variant}")[f"bleu:variant={variant}"]
            self.assertEqual(bleu["metric"], "bleu")
            # of 13 words 11 are in the references (the cat on the mat; dog ran in the park today), and so on
            wanted = 100 * math.exp(sum(math.log(p) for p in (11 / 13, 8 / 11, 5 / 9, 3 / 7)) / 4)
            self.assertAlmostEqual(bleu["score"], wanted, delta=1e-10 * wanted)
            self.assertEqual((bleu["brevity_penalty"], bleu["hypothesis_words"], bleu["reference_words"]), (1, 13, 13))

    def test_ter_counts_edits(self):
        ter = self.scores("--metrics", "ter")["ter"]
        self.assertEqual((ter["edits"], ter["reference_words"], ter["score"]), (2, 13, 2 / 13))
        both = self.scores("--metrics", "ter", references=("first", "second"))["ter"]
        self.assertEqual((both["edits"], both["reference_words"]), (2, 6.5 + 7))

    def test_texts_equal_to_their_references_are_perfect(self):
        for metric, best in (("bleu", 100), ("chrf", 100), ("chrf++", 100), ("rouge_l", 1), ("ter", 0)):
            score = self.scores("--metrics", metric, references=("outputs",))[metric]["score"]
            self.assertAlmostEqual(score, best, delta=1e-12 * max(best, 1))

    def test_json_has_each_metric_by_its_label_and_the_corpus(self):
        scores = self.scores("--metrics", WITHOUT_METEOR, references=("first", "second"))
        self.assertEqual(list(scores), [*WITHOUT_METEOR.split(","), "corpus"])
        for label in WITHOUT_METEOR.split(","):
            self.assertIsInstance(scores[label]["score"], float)
        self.assertEqual(scores["chrf++"]["metric"], "chrf")
        self.assertEqual(scores["corpus"], {"segments": 2, "references": 3, "empty_hypotheses": 0, "lowercase": False,
                                            "tokenize": False, "missing_reference": "empty"})

    def test_a_table_prints_the_same_numbers(self):
        out = self.succeeds(*self.arguments("--metrics", "bleu,ter")).out
        scores = self.scores("--metrics", "bleu,ter")
        lines = [line.split() for line in out.splitlines()]
        self.assertEqual(lines[:2], [[name, f"{scores[name]['score']:.4f}"] for name in ("bleu", "ter")])
        self.assertIn("2 outputs, 2 references", out)

    def test_presets_are_what_papers_report(self):
        for task, (metrics, changes_texts, variant) in PRESETS.items():
            scores = self.scores("--task", task)
            corpus = scores.pop("corpus")
            self.assertEqual(list(scores), metrics)
            self.assertEqual((corpus["lowercase"], corpus["tokenize"]), (changes_texts, changes_texts))
            self.assertEqual(scores["bleu"]["options"]["variant"], variant)

    def test_lower_case_and_tokenization_are_laid_over_the_texts(self):
        self.file("upper", "THE CAT, SAT ON THE MAT\n")
        self.file("comma", "the cat , sat on the mat\n")
        metric = "bleu:variant=multi-bleu"
        for given, least, most in (((), 0, 0), (("--tokenize",), 0, 0), (("--lowercase",), 30, 90),
                                   (("--lowercase", "--tokenize"), 100, 100)):
            score = self.scores("--metrics", metric, *given, outputs="upper", references=("comma",))[metric]["score"]
            self.assertTrue(least - 1e-10 <= score <= most + 1e-10, f"{given}: {score}")


class Layouts(Files):
    def test_line_ends_and_a_byte_order_mark_change_nothing(self):
        wanted = self.scores("--metrics", WITHOUT_METEOR)
        for name, content in (("crlf", "\r\n".join(OUTPUTS) + "\r\n"), ("bom", "\ufeff" + "\n".join(OUTPUTS) + "\n"),
                              ("no_end", "\n".join(OUTPUTS))):
            self.file(name, content)
            self.assertEqual(self.scores("--metrics", WITHOUT_METEOR, outputs=name), wanted, name)
        self.file("first_crlf", "\ufeff" + "\r\n".join(FIRST) + "\r\n")
        self.assertEqual(self.scores("--metrics", WITHOUT_METEOR, references=("first_crlf",)), wanted)

    def test_outputs_may_be_the_lines_that_generate_prints(self):
        wanted = self.scores("--metrics", WITHOUT_METEOR)
        lines = "".join(json.dumps({"text": text}) + "\n" for text in OUTPUTS)
        for name in ("generated.jsonl", "generated.JSONL"):
            self.file(name, lines)
            self.assertEqual(self.scores("--metrics", WITHOUT_METEOR, outputs=name), wanted)
        self.file("more.jsonl", lines.replace("{", '{"n": 1, '))
        self.assertEqual(self.scores("--metrics", WITHOUT_METEOR, outputs="more.jsonl"), wanted)

    def test_the_extension_of_a_table_may_be_in_capitals(self):
        for name in ("table.csv", "table.CSV"):
            self.file(name, "mr,ref\n" + "".join(f'x{i},"{text}"\n' for i, text in enumerate(FIRST)))
            self.assertEqual(self.scores("--metrics", "bleu", references=(name,)), self.scores("--metrics", "bleu"))

    def test_references_may_be_a_table_or_groups(self):
        both = "the cat is on the mat", 'there is a "cat"'
        table = "mr,ref\r\n" + "".join(f'"a, b","{text.replace(chr(34), 2 * chr(34))}"\r\n' for text in both)
        self.file("table.csv", table + f'"c","{FIRST[1]}"\r\n')
        self.file("groups", "\n".join(both) + "\n\n" + FIRST[1] + "\n")
        self.file("second_only", both[1] + "\n\n")
        wanted = self.scores("--metrics", WITHOUT_METEOR, references=("first", "second_only"))
        wanted["corpus"].pop("missing_reference")
        for name in ("table.csv", "groups"):
            got = self.scores("--metrics", WITHOUT_METEOR, references=(name,))
            self.assertEqual(got["corpus"], wanted["corpus"])
            for metric in ("chrf", "rouge_l", "ter", "cider"):  # a missing reference is a line of no words to the others
                self.assertEqual(got[metric], wanted[metric], metric)

    def test_a_missing_reference_is_empty_or_the_first_again(self):
        self.file("short", "the dog\nthe dog ran\n")
        of = lambda policy: self.scores("--metrics", "bleu:variant=multi-bleu", "--missing-reference", policy, outputs="short",
                                        references=("first", "second"))
        empty, first = of("empty"), of("first")
        self.assertEqual([s["corpus"]["missing_reference"] for s in (empty, first)], ["empty", "first"])
        self.assertEqual([s["corpus"]["references"] for s in (empty, first)], [3, 4])
        words = [s["bleu:variant=multi-bleu"]["reference_words"] for s in (empty, first)]
        self.assertEqual(words, [6, 13])  # the second output has three words: 0 are nearer to it than 7
        none = of("none")
        self.assertEqual(none["corpus"]["missing_reference"], "none")
        self.assertEqual(none["bleu:variant=multi-bleu"]["reference_words"], 13)
        self.refused("--metrics", "bleu", "--missing-reference", "nothing", names=["nothing", "none", "first", "empty"])

    def test_options_that_would_not_be_heeded_are_refused(self):
        self.refused("--metrics", "bleu", "--meteor-data", self.place, names=["--meteor-data", "METEOR"], code=2)
        self.refused("--metrics", "bleu", "--seed", 7, names=["--seed", "--bootstrap"], code=2)
        self.file("groups", "the cat\nthe dog\n\nthe bird\n")
        refused = ("--metrics", "bleu", "--missing-reference", "first")
        self.refused(*refused, references=("groups",), names=["--missing-reference", "groups"])

    def test_outputs_without_a_word_are_counted_and_score_nothing(self):
        scores = self.scores("--metrics", WITHOUT_METEOR, outputs="blank")
        self.assertEqual(scores["corpus"]["empty_hypotheses"], 2)
        for metric in WITHOUT_METEOR.split(","):
            self.assertEqual(scores[metric]["score"], 1 if metric == "ter" else 0, metric)
        self.assertEqual(self.scores("--task", "e2e", outputs="blank")["meteor"]["score"], 0)

    def test_segments_and_bootstrap(self):
        given = ("--metrics", "ter,rouge_l", "--segments", "--bootstrap", "50", "--seed", "3")
        scores = self.scores(*given)
        self.assertEqual(scores["ter"]["segments"], [1 / 6, 1 / 7])
        low, high = scores["ter"]["interval_95"]
        self.assertTrue(1 / 7 <= low < scores["ter"]["score"] < high <= 1 / 6)
        self.assertEqual(scores["corpus"]["bootstrap"], {"samples": 50, "seed": 3})
        self.assertEqual(self.scores(*given), scores)
        self.assertNotIn("segments", self.scores("--metrics", "ter")["ter"])
        self.assertIn("\n2 ter 0.1429\n", self.succeeds(*self.arguments("--metrics", "ter", "--segments")).out)


class Refusals(Files):
    def test_line_counts_that_differ_name_both_numbers(self):
        for references in (("one",), ("first", "one")):
            self.refused("--metrics", "bleu", references=references, names=["outputs.txt has 2", "one.txt has 1"])
        self.refused("--metrics", "bleu", references=("none",), names=["2", "none.txt has 0"])
        self.refused("--metrics", "bleu", outputs="none", names=["none.txt"])
        self.refused("--metrics", "bleu", references=("blank",), names=["blank.txt:1", "blank.txt:2"])

    def test_unknown_names_come_with_known_ones(self):
        self.refused("--metrics", "blue", names=['did you mean "bleu"'])
        self.refused("--metrics", "accuracy", names=["bleu", "meteor", "ter"])
        self.refused("--metrics", "bleu:varaint=multi-bleu", names=['did you mean "variant"'])
        self.refused("--metrics", "bleu:variant=perl", names=["multi-bleu", "mteval-v13a", "sacrebleu"])
        self.refused("--task", "e2", names=["e2e"])
        self.refused("--metrics", "bleu,bleu", names=["bleu", "twice"])

    def test_files_that_cannot_be_read_are_named(self):
        for absent in ({"outputs": "absent"}, {"references": ("absent",)}, {"references": ("first", "absent")}):
            self.refused("--metrics", "bleu", names=["absent.txt", "No such file"], **absent)
        self.file("wide", "the cat\n".encode("utf-16"))
        self.refused("--metrics", "bleu", outputs="wide", names=["wide.txt", "UTF-16"])
        self.file("carriage", "the\rcat\nthe dog\n")
        self.refused("--metrics", "bleu", outputs="carriage", names=["carriage.txt:1", "carriage return"])
        self.refused("--metrics", "meteor", "--meteor-data", self.place / "absent", names=[self.place / "absent"])

    def test_text_that_is_not_utf8_is_named(self):
        self.file("latin", "the cat\nthe caf\u00e9\n".encode("latin-1"))
        for task in ("e2e", "webnlg"):
            self.refused("--task", task, outputs="latin", names=["latin.txt:2", "UTF-8"])

    def test_json_is_not_taken_for_texts(self):
        lines = "".join(json.dumps({"text": text}) + "\n" for text in OUTPUTS)
        for name in ("generated", "generated.json", "references.jsonl"):
            self.file(name, lines)
        self.refused("--metrics", "bleu", outputs="generated", names=["generated.txt", ".jsonl"])
        self.refused("--metrics", "bleu", outputs="generated.json", names=["generated.json", ".jsonl"])
        for name in ("generated", "generated.json", "references.jsonl"):
            self.refused("--metrics", "bleu", references=("first", name), names=[name, "one a line" if "." in name else "generate"])
        self.file("broken.jsonl", lines + '{"text": 1}\n')
        self.refused("--metrics", "bleu", outputs="broken.jsonl", names=["broken.jsonl:3", '"text"'])
        self.file("json", '{"text": "a"}\n{"name": "b"}\n')  # texts that are JSON
        self.scores("--metrics", "bleu", outputs="json")

    def test_a_list_is_an_option_of_a_metric(self):
        metric = 'meteor:modules=["exact","stem"]'
        self.assertEqual(self.scores("--metrics", metric)[metric]["options"]["modules"], ["exact", "stem"])

    def test_blanks_around_names_do_not_count(self):
        self.assertEqual(self.scores("--metrics", " bleu, ter "), self.scores("--metrics", "bleu,ter"))

    def test_meteor_without_data_goes_by_what_needs_none(self):
        alone = self.scores("--metrics", "bleu, meteor")["meteor"]
        self.assertEqual(alone["options"]["modules"], ["exact", "stem"])
        self.assertEqual(alone["note"], "by exact, stem only: not METEOR 1.5's score (its data: scripts/fetch_meteor)")
        explicit = 'meteor:modules=["exact","stem"]'
        self.assertEqual(alone["score"], self.scores("--metrics", explicit)[explicit]["score"])
        for needs_data in ('meteor:modules=["exact","synonym"]', 'meteor:modules=["paraphrase"]'):
            self.refused("--metrics", needs_data, names=["--meteor-data", "scripts/fetch_meteor", f"'{explicit}'"])

    def test_a_list_without_brackets_is_shown_how_to_be_written(self):
        for wrong in ("meteor:modules=exact,stem", "meteor:modules=exact", "meteor:modules=[exact,stem]"):
            self.refused("--metrics", wrong, names=["meteor:modules=", """'meteor:modules=["exact","stem"]'"""])
        self.refused("--metrics", "bleu:multi-bleu", names=["bleu:multi-bleu", "NAME:OPTION=VALUE"])

    def test_the_command_line_is_checked(self):
        self.refused(code=2, names=["one of --metrics NAME,… and --task e2e|webnlg|dart is needed"])
        self.refused("--metrics", "bleu", "--task", "e2e", code=2, names=["only one of --metrics", "--task", "can be given"])
        self.refused("--metrics", "bleu", "--bootstrap", "-1", code=2, names=["--bootstrap"])
        self.fails("score", "--metrics", "bleu", "--hypotheses", self.file("outputs"), code=2, names=["--references"])


if __name__ == "__main__":
    main()
