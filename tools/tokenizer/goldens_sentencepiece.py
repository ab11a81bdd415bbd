"""Writes tests/fixtures/tokenizer/sentencepiece: small SentencePiece models, and digests of what the oracle gives on them.

    python tools/tokenizer/goldens_sentencepiece.py

The models are trained here, on a few lines of English and the nasty strings, with normalization rules of a few lines in
place of NFKC's 240 kB. Needs `pip install transformers sentencepiece protobuf`.
"""

import hashlib
import json
import pathlib
import tempfile

import oracle
import sentencepiece
import transformers
from differential_sentencepiece import ENGLISH as TRAINING
from differential_sentencepiece import KINDS, exact, regex
from goldens import ENGLISH, FIXTURES

FOLDER = FIXTURES / "sentencepiece"
SENTENCES = """The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs. How vexingly quick daft zebras jump.
A model reads pieces of words, and a piece is chosen because it is likely. The likeliest way to cut a word is found first.
Caf\u00e9, na\u00efve, r\u00e9sum\u00e9, \u00fcber, sm\u00f8rrebr\u00f8d; \u043f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440; \u4f60\u597d\u4e16\u754c; \u0928\u092e\u0938\u094d\u0924\u0947; \uc548\ub155\ud558\uc138\uc694."""

# Sources that begin with each other, marks, deletions, expansions, more than five bytes: where the quirks are.
RULES = {
    "\ufb01": "fi",
    "\u2122": "TM",
    "\u00bd": "1\u20442",
    "e\u0301": "\u00e9",
    "\u00df": "ss",
    "\u00df\u0301": "SS",
    "a\u0308": "\u00e4",
    "\ufdfa": "\u0635\u0644\u0649 \u0627\u0644\u0644\u0647 \u0639\u0644\u064a\u0647 \u0648\u0633\u0644\u0645",
    "\u0001": "",
    "\u001e": "",
    "\u200b": " ",
    "\u3000": " ",
    "\t": " ",
    "\n": " ",
    "\r": " ",
    "\u00a0": " ",
    "\u0439": "\u0438\u0306",
    "\u0438\u0306": "\u0439",
    "\uff21": "A",
    "\uff76\uff9e": "\u30ac",
    "\u1100\u1161": "\uac00",
    "\u0307": "",
}

SMALL = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["\u2581", -2.0]], "byte_fallback": False}
METASPACE = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}


def code_point_normalizers():
    def sequence(*normalizers):
        return {"type": "Sequence", "normalizers": list(normalizers)}

    return {
        "NFC": {"type": "NFC"},
        "NFKC": {"type": "NFKC"},
        "NFKD, StripAccents, Lowercase": sequence({"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}),
        "Nmt": {"type": "Nmt"},
        "whitespace": sequence(regex("\\s{2,}|[\\n\\r\\t]", " "), {"type": "Strip", "strip_left": True, "strip_right": True}),
    }


def digest(value):
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:8]


def fields(record):
    """What a digest is of; tests/tokenizer/sentencePiece.test.ts makes the same."""
    names = ("ids", "tokens", "typeIds", "attentionMask", "offsets", "codePointOffsets", "wordIds", "decoded", "decodedWithoutSpecial")
    return [record[name] for name in names] + [[window["ids"] for window in record["windows"]]]


def train(name, texts, folder):
    class_name, file, options = KINDS[name]
    corpus, rules = folder / "corpus.txt", folder / "rules.tsv"
    corpus.write_text("\n".join(texts), encoding="utf-8")
    hexes = lambda text: " ".join(f"{ord(c):X}" for c in text)
    rules.write_text("".join(f"{hexes(source)}\t{hexes(target)}\n" for source, target in RULES.items()))
    options = {**options, "vocab_size": 700, "normalization_rule_tsv": str(rules), "hard_vocab_limit": False}
    del options["normalization_rule_name"]
    sentencepiece.SentencePieceTrainer.train(input=str(corpus), model_prefix=str(folder / name), **{**TRAINING, "character_coverage": 0.98}, **options)
    model = folder / f"{name}-model"
    model.mkdir()
    content = (folder / f"{name}.model").read_bytes()
    (model / file).write_bytes(content)
    (FOLDER / f"{name}.model").write_bytes(content)
    converted = getattr(transformers, class_name).from_pretrained(model)
    return json.loads(converted._tokenizer.to_str())


def code_points(normalizer):
    """A hash for each 4096 code points of the planes that have any: of the words that they become, and of where those were."""
    tokenizer = oracle.build({"version": "1.0", "added_tokens": [], "normalizer": normalizer, "pre_tokenizer": METASPACE, "post_processor": None, "decoder": None, "model": SMALL})
    hashes = []
    for base in [*range(0, 0x32000, 0x1000), 0xE0000]:
        words = []
        for start in range(base, base + 0x1000, 64):
            text = "".join(f"a{chr(c)}\u0301\u0323b {chr(c)} " for c in range(start, start + 64) if not 0xD800 <= c <= 0xDFFF)
            encoding = tokenizer.encode(text, add_special_tokens=False)
            words.append([encoding.tokens, [list(offsets) for offsets in encoding.offsets]])
        hashes.append(digest(words))
    return " ".join(hashes)


def main():
    FOLDER.mkdir(exist_ok=True)
    nasty = json.loads((FIXTURES / "nasty.json").read_text())
    texts = [line for line in (ENGLISH + "\n" + SENTENCES).split("\n")] * 3
    texts += [oracle.well_formed(text).replace("\0", " ").replace("\n", " ") for text in nasty]
    kinds = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in KINDS:
            base = train(name, texts, pathlib.Path(folder))
            tokenizer = exact(base)
            pairs = [[a, b] for a, b in zip(nasty, nasty[1:])]
            options = {"truncation": "longest_first", "maxLength": 16, "stride": 3}
            kinds[name] = {
                "vocabSize": tokenizer.get_vocab_size(),
                "texts": " ".join(digest(fields(record)) for record in oracle.encode_batch(tokenizer, nasty, {})),
                "pairs": " ".join(digest(fields(record)) for record in oracle.encode_batch(tokenizer, pairs, options)),
            }
            if name == "xlm-roberta":
                (FOLDER / "tokenizer.json").write_text(json.dumps(base, separators=(",", ":")) + "\n")
    normalizers = {name: {"normalizer": value, "hashes": code_points(value)} for name, value in code_point_normalizers().items()}
    goldens = {"oracle": oracle.VERSION, "pairOptions": options, "kinds": kinds, "normalizers": normalizers}
    (FOLDER / "goldens.json").write_text(json.dumps(goldens, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
