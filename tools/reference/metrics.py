"""Makes tests/fixtures/metrics.json: what scikit-learn, scipy, seqeval and the official SQuAD rules say of random and of awkward inputs.

    python metrics.py

Needs scikit-learn, scipy, seqeval (requirements.txt). null stands for NaN.
"""

import collections
import json
import math
import re
import string
import warnings
from pathlib import Path

import numpy as np
import scipy
import seqeval.metrics as se
import sklearn
from scipy import stats
from seqeval import scheme as schemes
from seqeval.metrics.sequence_labeling import get_entities
from sklearn import metrics as sk

warnings.filterwarnings("ignore")
random = np.random.default_rng(7)


def clean(x):
    if isinstance(x, dict):
        return {k: clean(v) for k, v in x.items()}
    if isinstance(x, (list, tuple, np.ndarray)):
        return [clean(v) for v in x]
    if isinstance(x, np.generic):
        x = x.item()
    return None if isinstance(x, float) and math.isnan(x) else x


def prf(y, p, average, zero):
    a, b, c, _ = sk.precision_recall_fscore_support(y, p, average=average, zero_division=zero)
    return {"precision": a, "recall": b, "f1": c}


def classification(y, p):
    each = sk.precision_recall_fscore_support(y, p, zero_division=0)
    return {
        "labels": y, "predictions": p,
        "accuracy": sk.accuracy_score(y, p), "mcc": sk.matthews_corrcoef(y, p),
        "confusion": sk.confusion_matrix(y, p),
        "classes": sorted(set(y) | set(p)), "byClass": np.stack(each).T,
        **{f"{a}{z}": prf(y, p, a, z) for a in ("micro", "macro", "weighted") for z in (0, 1)},
    }


def numbers(a, b):
    return {"a": a, "b": b, "pearson": stats.pearsonr(a, b)[0], "spearman": stats.spearmanr(a, b)[0],
            "mse": sk.mean_squared_error(a, b), "mae": sk.mean_absolute_error(a, b)}


def binary(y, s):
    auc = sk.roc_auc_score(y, s) if 0 < sum(y) < len(y) else math.nan
    return {"labels": y, "scores": s, "auc": auc, "ap": sk.average_precision_score(y, s)}


def calibration(p, right, bins):
    edges = np.linspace(0, 1, bins + 1)
    error = 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (p > low) & (p <= high) if low > 0 else (p >= low) & (p <= high)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - p[inside].mean())
    return {"p": p, "right": right, "bins": bins, "ece": error}


def ranking(queries, k):
    out = {"queries": [{"relevance": r, "scores": s} for r, s in queries], "k": k}
    out["ndcg"] = np.mean([sk.ndcg_score([r], [s]) for r, s in queries])
    out["ndcgK"] = np.mean([sk.ndcg_score([r], [s], k=k) for r, s in queries])
    out["map"] = np.mean([sk.average_precision_score(np.array(r) > 0, s) for r, s in queries])
    mrr, recall = [], []
    for r, s in queries:
        order = np.argsort(-np.array(s), kind="stable")
        hits = [i for i, c in enumerate(order) if r[c] > 0]
        mrr.append(1 / (hits[0] + 1) if hits and hits[0] < k else 0)
        recall.append(len([h for h in hits if h < k]) / len(hits) if hits else 0)
    return {**out, "mrrK": np.mean(mrr), "recallK": np.mean(recall)}


def tags(scheme_letters, types, sentences, longest):
    def tag():
        letter = random.choice(list(scheme_letters))
        return "O" if letter == "O" else f"{letter}-{random.choice(types)}"
    return [[tag() for _ in range(random.integers(1, longest))] for _ in range(sentences)]


def entities(y, p, scheme=None):
    more = {} if scheme is None else {"mode": "strict", "scheme": getattr(schemes, scheme)}
    out = {"labels": y, "predictions": p, "scheme": scheme}
    for average in ("micro", "macro", "weighted"):
        out[average] = {
            "precision": se.precision_score(y, p, average=average, zero_division=0, **more),
            "recall": se.recall_score(y, p, average=average, zero_division=0, **more),
            "f1": se.f1_score(y, p, average=average, zero_division=0, **more),
        }
    if scheme is None:
        out["entities"] = [[[t, a, b + 1] for t, a, b in get_entities(s)] for s in y]
    else:
        found = schemes.Entities(y, getattr(schemes, scheme)).entities
        out["entities"] = [[[e.tag, e.start, e.end] for e in s] for s in found]
    return out


def words(text):
    text = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def squad(prediction, answers):
    def f1(gold):
        g, p = words(gold), words(prediction)
        if not g or not p:
            return float(g == p)
        same = sum((collections.Counter(g) & collections.Counter(p)).values())
        return 0.0 if same == 0 else 2 * same / (len(g) + len(p))
    answers = [a for a in answers if words(a)] or [""]
    return {"prediction": prediction, "answers": answers, "exact": max(float(words(a) == words(prediction)) for a in answers), "f1": max(map(f1, answers))}


def main():
    some = lambda n, k: [int(x) for x in random.integers(0, k, n)]
    rounded = lambda n: [float(x) for x in np.round(random.normal(size=n), 1)]
    result = {
        "versions": {"sklearn": sklearn.__version__, "scipy": scipy.__version__, "seqeval": "1.2.2", "numpy": np.__version__},
        "classification": [
            classification(some(60, 3), some(60, 3)), classification(some(40, 2), some(40, 2)), classification(some(30, 7), some(30, 5)),
            classification([1] * 8, [1] * 8), classification([0] * 8, [1] * 8), classification([0, 1, 2, 2], [0, 0, 0, 0]),
            classification(["b", "a", "c", "a"], ["a", "a", "c", "d"]), classification([3], [3]), classification([10, 9, 2, 10], [9, 9, 10, 2]),
        ],
        "numbers": [numbers(rounded(50), rounded(50)), numbers([1, 2, 2, 3], [4, 4, 4, 5]), numbers([1, 1, 1], [1, 2, 3]), numbers([1, 2], [3, 1]),
                    numbers([1e8 + i for i in range(9)], [float(i * i) for i in range(9)]), numbers([0.1, 0.1, 0.1], [0.3, 0.1, 0.2])],
        "binary": [binary(some(50, 2), rounded(50)), binary([0, 1, 1, 0], [0.5, 0.5, 0.5, 0.5]), binary([1, 1], [0.1, 0.2]), binary([0, 0, 1], [1, 2, 3])],
        "calibration": [calibration(np.round(random.random(80), 2), random.random(80) < 0.6, b) for b in (1, 10, 15)]
                       + [calibration(np.array([0.0, 1.0, 0.5, 0.1, 0.2]), np.array([True, False, True, True, False]), 10)],
        "ranking": [ranking([(some(12, 3), rounded(12)) for _ in range(6)], 5), ranking([([0, 1, 0, 2], [1, 1, 1, 1]), ([1, 0], [0.5, 0.5])], 2),
                    ranking([([0, 0, 0], [3, 2, 1]), ([0, 1, 1], [3, 2, 1])], 1)],
        "entities": [],
        "squad": [squad(p, a) for p, a in [
            ("The cat sat.", ["a cat sat", "dog"]), ("", [""]), ("", ["x"]), ("x", []), ("an apple a day", ["apple day", "the day"]), ("éa the thé", ["Éa thé"]),
            ("1,000 km", ["1000 km."]), ("b b c", ["b c c"]), ("the", ["a"]), ("Ünder the\u00a0Bridge", ["ünder bridge"]), ("New  York\u2028City", ["new york"]),
            ("x\u0301a b", ["x\u0301 b"]), ("_a_ a", ["_a_"]), ("İstanbul", ["i̇stanbul"]),
        ]],
    }
    for letters, scheme in [("BIO", None), ("BIOES", None), ("BIO", "IOB2"), ("IOB", "IOB1"), ("IOE", "IOE1"), ("IOE", "IOE2"), ("BIOES", "IOBES"), ("BILOU", "BILOU")]:
        y = tags(letters, ["PER", "LOC", "X-Y"], 25, 9)
        p = [[t if random.random() < 0.6 else tags(letters, ["PER", "LOC"], 1, 2)[0][0] for t in s] for s in y]
        result["entities"].append(entities(y, p, scheme))
    result["entities"].append(entities([["O", "O"]], [["O", "O"]]))
    result["entities"].append(entities([["B-A", "I-A"]], [["O", "O"]], "IOB2"))
    result["entities"].append(entities([["B", "I", "O", "I"], ["I-A", "B-A", "I-B"]], [["B", "I", "O", "O"], ["I-A", "I-A", "I-B"]]))
    path = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "metrics.json"
    path.write_text(json.dumps(clean(result), separators=(",", ":"), ensure_ascii=True) + "\n")
    print(path, path.stat().st_size)


main()
