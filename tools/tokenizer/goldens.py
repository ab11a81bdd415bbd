"""Writes tests/fixtures/tokenizer: what the oracle gives for the nasty strings and for every code point.

    python tools/tokenizer/goldens.py

Reads tests/fixtures/tokenizer/nasty.json, which is written by hand. Needs `pip install tokenizers`; its version is
written into each file. The vocabulary is trained here on the nasty strings and a few lines of English.
"""

import array
import hashlib
import json
import pathlib

import oracle
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "tests/fixtures/tokenizer"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

ENGLISH = """The tokenizer takes a sentence apart into words and the words into pieces, and knows where each piece was.
Unaffable, affable, able, enable, enabling; token, tokens, tokenize, tokenizing, tokenization. Hello world! How are you?
She said: "I don't know what you're talking about, it's not mine." They have 3 cats, 12 dogs and 2,000 birds in Paris."""

NORMALIZERS = {
    "uncased": {},
    "cased": {"lowercase": False},
    "cased, accents stripped": {"lowercase": False, "strip_accents": True},
    "uncased, accents kept": {"strip_accents": False},
    "no Chinese handling": {"handle_chinese_chars": False},
    "no cleaning": {"clean_text": False},
}

DIGESTED = {
    "uncased": {},
    "cased, accents stripped": {"lowercase": False, "strip_accents": True},
    "uncased, accents kept, no Chinese handling, no cleaning": {
        "strip_accents": False,
        "handle_chinese_chars": False,
        "clean_text": False,
    },
}

PAIRS = [
    ["a", "b"],
    ["", "b"],
    ["how are you", ""],
    ["one two three four five six", "seven eight nine"],
    ["seven eight nine", "one two three four five six"],
    ["the tokenizer tokenizes the tokens", "caf\u00e9 \U0001F600 \u4e2d\u6587 unaffable"],
]


def vocabulary(texts):
    """A WordPiece vocabulary trained on the texts, in lower case and as they are."""
    tokens = {token: None for token in SPECIAL}
    for lowercase, size in ((True, 1100), (False, 700)):
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=SPECIAL, show_progress=False, limit_alphabet=400)
        tokenizer.train_from_iterator([ENGLISH] * 3 + texts, trainer)
        # Sorted, because the trainer numbers equally frequent pieces differently from run to run.
        tokens.update((token, None) for token in sorted(tokenizer.get_vocab()))
    return list(tokens)


def compact(record):
    """One encoding in few characters. Offsets are flat; those in code points are there only if different."""
    flat = [n for offsets in record["offsets"] for n in offsets]
    code_points = [n for offsets in record["codePointOffsets"] for n in offsets]
    words = [-1 if word is None else word for word in record["wordIds"]]
    return [record["ids"], flat, words] + ([code_points] if code_points != flat else [])


def nasty_goldens(base, texts):
    configs = {}
    for name, changes in NORMALIZERS.items():
        records = oracle.encode_batch(oracle.build(oracle.with_changes(base, normalizer=changes)), texts, {})
        configs[name] = {"normalizer": changes, "encodings": [compact(record) for record in records]}
        if name == "uncased":
            configs[name]["tokens"] = [" ".join(record["tokens"]) for record in records]
            configs[name]["decoded"] = [record["decoded"] for record in records]
            configs[name]["decodedWithoutSpecial"] = [record["decodedWithoutSpecial"] for record in records]
    return {"oracle": oracle.VERSION, "configs": configs}


def truncation_goldens(base):
    """Pairs and single texts at lengths around the limit; null where the oracle refuses."""
    cases, tokenizer = [], oracle.build(base)
    inputs = [pair for pair in PAIRS] + [pair[0] for pair in PAIRS[2:]]
    for max_length in (3, 4, 7, 8, 9):
        for strategy in ("longest_first", "only_first", "only_second"):
            for side, stride in (("right", 0), ("left", 0), ("right", 1), ("left", 1)):
                options = {"truncation": strategy, "maxLength": max_length, "truncationSide": side, "stride": stride}
                for text in inputs:
                    room = max_length - (2 if isinstance(text, str) else 3)
                    if stride >= room > 0 or (stride and room == 0):
                        continue  # refused by src/tokenizer whatever the text
                    cases.append({"text": text, "options": options, "expected": attempt(tokenizer, text, options)})
    for options in (
        {"padding": "max_length", "maxLength": 12},
        {"padding": "max_length", "maxLength": 12, "paddingSide": "left", "padToMultipleOf": 8},
        {"padding": "longest", "padToMultipleOf": 5, "truncation": "longest_first", "maxLength": 9, "stride": 1},
    ):
        for text in inputs:
            cases.append({"text": text, "options": options, "expected": attempt(tokenizer, text, options)})
    return {"oracle": oracle.VERSION, "cases": cases}


def attempt(tokenizer, text, options):
    try:
        (record,) = oracle.encode_batch(tokenizer, [text], options)
    except BaseException:  # Rust panics arrive as PanicException, which is no Exception
        return None
    keep = ("ids", "typeIds", "attentionMask", "specialTokensMask", "sequenceIds")
    windows = [window["ids"] for window in record["windows"]]
    return {**{name: record[name] for name in keep}, "windows": windows}


def digests():
    """A hash of ids and offsets for each 4096 code points, on a vocabulary of all characters that normalizers make."""
    code_points = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    made = set()
    for changes in DIGESTED.values():
        normalizer = oracle.build(oracle.wordpiece_json(SPECIAL, **changes)).normalizer
        for c in code_points:
            result = normalizer.normalize_str(chr(c))
            if result.strip() != chr(c):
                made.update(result)
    characters = "".join(sorted(made - {" ", "a", "b"}))
    vocab = [*SPECIAL, "a", "b", "##a", "##b", *characters, *("##" + c for c in characters)]
    configs = {}
    for name, changes in DIGESTED.items():
        tokenizer = oracle.build(oracle.wordpiece_json(vocab, **changes))
        hashes = []
        for base in range(0, 0x110000, 0x1000):
            texts = [
                "".join(f"a{chr(c)}b {chr(c)} " for c in range(start, start + 64) if not 0xD800 <= c <= 0xDFFF)
                for start in range(base, base + 0x1000, 64)
            ]
            numbers = array.array("i")
            for encoding in tokenizer.encode_batch(texts, add_special_tokens=False):
                numbers.extend(encoding.ids)
                numbers.extend(n for offsets in encoding.offsets for n in offsets)
            hashes.append(hashlib.sha256(numbers.tobytes()).hexdigest()[:8])
        configs[name] = {"normalizer": changes, "hashes": " ".join(hashes)}
    return {"oracle": oracle.VERSION, "characters": characters, "configs": configs}


def save(name, value):
    (FIXTURES / name).write_text(json.dumps(value, separators=(",", ":")) + "\n")


def main():
    texts = json.loads((FIXTURES / "nasty.json").read_text())
    vocab = vocabulary([oracle.well_formed(text) for text in texts])
    (FIXTURES / "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8")
    base = oracle.wordpiece_json(vocab)
    tokenizer = oracle.build(base)
    tokenizer.enable_truncation(8)  # sections that src/tokenizer leaves alone
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(FIXTURES / "tokenizer.json"), pretty=False)
    save("goldens.json", nasty_goldens(base, texts))
    save("truncation.json", truncation_goldens(base))
    save("digests.json", digests())


if __name__ == "__main__":
    main()
