"""Writes tests/fixtures/tokenizer/training.json: what the Rust trainers make of a text written for it.

    python tools/tokenizer/goldens_training.py
"""

import json

import oracle
from differential_training import BERT, continuations, rust
from goldens import FIXTURES

TEXT = """The quick brown fox jumps over the lazy dog, and the dog, being lazy, does not jump over the fox.
A vocabulary is learnt from texts: the pair of neighbours that occurs most often is joined, then the next, and the next.
Learning, learned, learner; joining, joined, joiner; jumping, jumped, jumper. Pairs of pairs of pairs are pairs, too.
Banana bananas, mississippi, aaaa aaa aaaaa abab ababab bababa abcabcabc aabb aabbaabb: letters that repeat overlap.
It's what they've said, isn't it? I'm sure we'll see; he'd know. 12 cats, 345 dogs, 6789 birds and 10,000 fish (2024-06-07).
   Three spaces before,\ta tab within,  two spaces, and\u00a0one that does not break.
D\u00e9j\u00e0 vu, na\u00efve caf\u00e9s, \u00fcber stra\u00dfe, \u0130stanbul; \u0440\u0443\u0441\u0441\u043a\u0438\u0439 \u0442\u0435\u043a\u0441\u0442, \u0440\u0443\u0441\u0441\u043a\u0438\u0435 \u0442\u0435\u043a\u0441\u0442\u044b; \u4e2d\u6587\u6587\u672c \u4e2d\u6587; \u65e5\u672c\u8a9e\u306e\u6587; \ud55c\uad6d\uc5b4 \ubb38\uc7a5.
\U0001F600\U0001F600 smile \U0001F600, \U0001F44D\U0001F3FD thumbs up, e\u0301 with a mark of its own; x\u00b2 + y\u00b2 = z\u00b2.

The next line is the same as the first.
The quick brown fox jumps over the lazy dog, and the dog, being lazy, does not jump over the fox."""

CASES = [
    ("bpe", {"vocabSize": 320}),
    ("bpe", {"vocabSize": 10000}),
    ("bpe", {"vocabSize": 600, "minFrequency": 1, "lowercase": True, "addPrefixSpace": True, "specialTokens": ["<s>", "</s>", "e"]}),
    ("bpe", {"vocabSize": 500, "maxTokenLength": 4}),
    ("bpe", {"vocabSize": 300, "initialAlphabet": ["\u20ac", "\u4e2d"], "specialTokens": []}),
    ("wordpiece", {"vocabSize": 260}),
    ("wordpiece", {"vocabSize": 10000, "minFrequency": 1}),
    ("wordpiece", {"vocabSize": 300, "lowercase": False, "initialAlphabet": ["\u20ac"]}),
]


def main():
    texts, cases = TEXT.split("\n"), []
    for kind, options in CASES:
        if kind == "wordpiece":  # so that Rust does not leave their order to chance
            options = {**options, "specialTokens": BERT + continuations(texts, options.get("lowercase", True))}
        tokenizer_json, _ = rust(kind, texts, options)
        vocab = tokenizer_json["model"]["vocab"]
        case = {"kind": kind, "options": options, "tokens": sorted(vocab, key=vocab.get)}
        cases.append({**case, **({"merges": [" ".join(pair) for pair in tokenizer_json["model"]["merges"]]} if kind == "bpe" else {})})
    value = {"oracle": oracle.VERSION, "texts": texts, "cases": cases}
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"
    (FIXTURES / "training.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
