"""Writes tests/cases/metrics/{classification,regression}.json: predictions with the scores that
scikit-learn and SciPy give them.

    python scripts/golden/metrics.py

Each case: {"why", "classes" or "values", "labels", "expect": {metric: number, or null for NaN}}.
"""

import json
import math
import pathlib
import sys
import warnings

import numpy as np
import scipy
import scipy.stats
import sklearn
import sklearn.metrics

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "cases" / "metrics"
SEED = 20240611


def classification(why, labels, classes):
    labels, classes = [int(v) for v in labels], [int(v) for v in classes]
    expect = {
        "accuracy": float(sklearn.metrics.accuracy_score(labels, classes)),
        "matthews": float(sklearn.metrics.matthews_corrcoef(labels, classes)),
    }
    if set(labels) | set(classes) <= {0, 1}:
        f1 = float(sklearn.metrics.f1_score(labels, classes, zero_division=0))
        expect |= {"f1": f1, "accuracy_f1": (expect["accuracy"] + f1) / 2}
    return {"why": why, "classes": classes, "labels": labels, "expect": expect}


def regression(why, labels, values):
    labels, values = [float(v) for v in labels], [float(v) for v in values]
    pearson = float(scipy.stats.pearsonr(values, labels).statistic)
    spearman = float(scipy.stats.spearmanr(values, labels).statistic)
    expect = {"pearson": pearson, "spearman": spearman, "pearson_spearman": (pearson + spearman) / 2}
    expect = {name: None if math.isnan(v) else v for name, v in expect.items()}
    return {"why": why, "values": values, "labels": labels, "expect": expect}


def classification_cases(random):
    yield classification("all right", [0, 1, 1, 0], [0, 1, 1, 0])
    yield classification("all wrong", [0, 1, 1, 0], [1, 0, 0, 1])
    yield classification("one example", [1], [1])
    yield classification("class 1 is never predicted", [0, 1, 1, 0, 1], [0, 0, 0, 0, 0])
    yield classification("class 1 is no label", [0, 0, 0, 0], [0, 1, 0, 1])
    yield classification("class 1 is neither predicted nor a label", [0, 0, 0], [0, 0, 0])
    yield classification("only class 1", [1, 1, 1], [1, 1, 1])
    yield classification("all labels equal, predictions not", [1, 1, 1, 1], [1, 0, 1, 0])
    yield classification("three classes, one never predicted", [0, 1, 2, 2, 1, 0], [0, 1, 1, 1, 1, 0])
    yield classification("a predicted class that is no label", [0, 1, 0, 1], [0, 1, 2, 2])
    for n, classes, right in [(7, 2, 0.5), (50, 2, 0.9), (200, 2, 0.7), (50, 3, 0.6), (200, 5, 0.4)]:
        labels = random.integers(0, classes, n)
        guess = random.integers(0, classes, n)
        predicted = np.where(random.random(n) < right, labels, guess)
        yield classification(f"random, {n} examples of {classes} classes", labels, predicted)
    labels = (random.random(300) < 0.03).astype(int)
    yield classification("random, class 1 is rare", labels, labels ^ (random.random(300) < 0.02))


def regression_cases(random):
    yield regression("a line", [1, 2, 3, 4], [2, 4, 6, 8])
    yield regression("a falling line", [1, 2, 3, 4], [0.3, 0.2, 0.1, 0.0])
    yield regression("two examples", [0, 5], [0.1, 0.2])
    yield regression("monotone, not a line", [0, 1, 2, 3, 4, 5], [1, 2, 4, 8, 16, 32])
    yield regression("ties among the labels", [1, 1, 1, 2, 3, 3], [0.1, 0.4, 0.2, 0.9, 0.8, 0.7])
    yield regression("ties on both sides", [0, 0, 5, 5, 2.5], [1, 2, 2, 1, 2])
    yield regression("constant predictions", [1, 2, 3], [0.1, 0.1, 0.1])
    yield regression("constant labels", [2.5, 2.5, 2.5], [1, 2, 3])
    yield regression("a large offset", [1, 2, 3, 5], [1e6 + 1, 1e6 + 3, 1e6 + 2, 1e6 + 4])
    yield regression("tiny numbers", [1, 2, 3, 5], [1e-200, 3e-200, 2e-200, 4e-200])
    yield regression("one outlier", [1, 2, 3, 4, 5], [1, 2, 3, 4, 1e9])
    for n, noise in [(10, 0.1), (60, 1.0), (200, 3.0)]:
        labels = np.round(random.uniform(0, 5, n) * 4) / 4  # as in STS-B: many ties
        values = np.round(labels + noise * random.standard_normal(n), 5)
        yield regression(f"random, {n} examples, labels in quarters", labels, values)
    yield regression("random, no relation", random.standard_normal(100).round(4), random.standard_normal(100).round(4))


def write(name, cases):
    cases = list(cases)
    head = {
        "script": "scripts/golden/metrics.py",
        "versions": {
            "python": sys.version.split()[0],
            "numpy": np.__version__,
            "scikit-learn": sklearn.__version__,
            "scipy": scipy.__version__,
        },
        "seed": SEED,
    }
    lines = ",\n".join("    " + json.dumps(case) for case in cases)
    body = json.dumps(head, indent=2)[:-2] + ',\n  "cases": [\n' + lines + "\n  ]\n}\n"
    json.loads(body)
    (OUT / name).write_text(body)
    print(f"{name}: {len(cases)} cases", head["versions"])


def main():
    warnings.simplefilter("ignore")  # scikit-learn and SciPy warn of the degenerate cases
    OUT.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(SEED)
    write("classification.json", classification_cases(random))
    write("regression.json", regression_cases(random))


if __name__ == "__main__":
    main()
