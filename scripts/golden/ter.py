"""Writes tests/cases/metrics/ter.json: sentences with the words that sacrebleu's port of tercom's
tokenizer makes of them, under tercom's flags. (The port keeps "<skipped>", which tercom takes out.)

    python scripts/golden/ter.py
"""

import json
import pathlib
import platform

import sacrebleu
from sacrebleu.tokenizers.tokenizer_ter import TercomTokenizer

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "cases" / "metrics" / "ter.json"
LINES = [
    "The cat sat on the mat.",
    "Mr. O'Neil's 3,000-word &quot;e-mail&quot; (a/b) costs \u00a35.50, no? yes.",
    "U.S. sales rose 4.5% ,and the firms' did not ; that's all, folks' -",
    "&lt;b&gt; R&amp;D [x] {y} ~z` @home #1 a_b 10-20 2.",
    "\u00c9t\u00e9 \u00c0 la plage... \u201cquoted\u201d, I.B.M.'s",
    "1,2 ,3 4. 5 .6 ,, .. a.,b",
]


def main():
    versions = {"python": platform.python_version(), "sacrebleu": sacrebleu.__version__}
    print(versions)
    cases = []
    for normalize in (False, True):
        for case_sensitive in (False, True):
            for punctuation in (False, True):
                tokenize = TercomTokenizer(normalized=normalize, no_punct=not punctuation, case_sensitive=case_sensitive)
                options = {"normalize": normalize, "case_sensitive": case_sensitive, "punctuation": punctuation}
                cases += [{"options": options, "line": line, "words": tokenize(line).split()} for line in LINES]
    text = ",\n".join("  " + json.dumps(case) for case in cases)
    OUT.write_text('{"versions": %s,\n "cases": [\n%s]}\n' % (json.dumps(versions), text))


main()
