#!/usr/bin/env python3
"""Cases of metrics of generated text, from sacreBLEU and Stanford's PTBTokenizer.

    scripts/golden/text_metrics.py STANFORD_CORENLP_3_4_1_JAR > tests/cases/metrics/text.json

The jar is the one that COCO's caption evaluation carries (PyPI: pycocoevalcap). All texts are invented.
"""

import json
import platform
import subprocess
import sys

import sacrebleu
from sacrebleu.metrics import BLEU, CHRF

# output, references
CORPORA = {
    "one reference": [
        ("The Green Lantern is a cheap pub near the river.", ["The Green Lantern is a low-priced pub by the river."]),
        ("It serves soup, bread and tea.", ["Soup, bread and tea are served there."]),
        ("Prices start at £4.50, i.e. 5,000 won.", ["Prices begin at £4.50 (about 5,000 won)."]),
    ],
    "several references": [
        ("Anna Kovač was born in Óbidos in 1962.", ["Anna Kovač, born 1962, is from Óbidos.",
                                                   "Born in Óbidos, Anna Kovač came into the world in 1962."]),
        ("The bridge is 128.5 metres long.", ["The bridge has a length of 128.5 metres.", "It is 128.5 m long.",
                                             "The length of the bridge is 128.5 metres."]),
        ("the the the the", ["The cat is on the mat.", "There is a cat on the mat."]),
    ],
    "an empty output": [
        ("", ["Nothing was said."]),
        ("The \"blue\" door (at 3-4 Mill Lane) isn't open!", ["The 'blue' door at 3-4 Mill Lane is not open."]),
    ],
    "short outputs": [("Yes.", ["Yes, it is."]), ("No", ["No."])],
    "nothing in common": [("xylophone quartz", ["A boat on the lake near here."])],
    "a perfect output": [("A boat & a barge lie on the lake.", ["A boat & a barge lie on the lake."])],
}

TEXTS = [
    "It's a family-friendly pub, isn't it?", "Prices (from £20-25) are high; children can't eat here.",
    "They cannot say: \"We'll go\" or 'We won't'.", "Dr. A. B. Moor lives in St. Ives, U.S.A., near No. 5.",
    "The U.S. team met Mr. Hall of Blue Inc. in Jan. 2011.", "Rock 'n' roll at O'Neill's costs $4.50 (or 3,000 won).",
    "Run 18L/36R is 2.5 km/h slower -- about -3.5 %.", "Café Müller serves crème brûlée at 10:30.",
    "Read sea.The boat sank … then rose; wait...", "P&O and R&B: tea & cake.", "The tower, i.e. the tall one, is 12.5m high.",
    "Gonna be late? I wanna know!", "He’s sure it’s a “test”.", "The city's co-operative is open 24/7, e.g. on 03/04/2010.",
    "snake_case and 3rd-class 20s", "", "   ", "x² + ½ = 5~6 @home #tag", "in the city center, near the mill",
    "d'Artagnan's hors d'oeuvre", "It costs US$5 or €6.", "5 p.m. The bus left at 5 p.m. and so on",
]


def ptb(jar):
    """The words of each text as COCO's scorers see them."""
    punctuation = {"''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";"}
    words = []
    for text in TEXTS:  # one at a time: what ends a line would depend on the next one
        command = ["java", "-cp", jar, "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase",
                   "-encoding", "utf-8"]
        out = subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout.decode()
        words.append({"text": text, "words": [w for w in out.split() if w not in punctuation]})
    return words


def scores(corpus):
    outputs = [output for output, _ in corpus]
    most = max(len(references) for _, references in corpus)
    streams = [[references[i] if i < len(references) else None for _, references in corpus] for i in range(most)]
    metrics = {
        "bleu": BLEU(), "bleu lowercase": BLEU(lowercase=True),
        "chrf": CHRF(), "chrf++": CHRF(word_order=2), "chrf lowercase": CHRF(lowercase=True),
    }
    return {name: metric.corpus_score(outputs, streams).score for name, metric in metrics.items()}


def main():
    corpora = [{"why": why, "segments": [{"hypothesis": o, "references": r} for o, r in corpus],
                "expect": scores(corpus),
                "sentence_chrf": [CHRF().sentence_score(o, r).score for o, r in corpus]}
               for why, corpus in CORPORA.items()]
    print(json.dumps({"script": "scripts/golden/text_metrics.py",
                      "versions": {"python": platform.python_version(), "sacrebleu": sacrebleu.__version__,
                                   "stanford-corenlp": "3.4.1"},
                      "corpora": corpora, "ptb": ptb(sys.argv[1])}, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
