"""Writes tests/fixtures/tokenizer/bpe: what the oracle gives for BPE on the nasty strings, and for every code point.

    python tools/tokenizer/goldens_bpe.py

The tokenizers are trained here, on the nasty strings and a few lines of English, and put together in the ways of
differential_bpe.py. Needs `pip install tokenizers transformers`; the first's version is written into each file.
"""

import array
import hashlib
import json

import oracle
from differential_bpe import character_models, train_byte_level, variants
from goldens import ENGLISH, FIXTURES, compact

FOLDER = FIXTURES / "bpe"
WINDOWS = {"truncation": "longest_first", "maxLength": 9, "stride": 2}
TEXTS = [
    "I'm sure they've seen <mask> there,  haven't they?",
    "a  <mask>b <s>c</s>",
    "   three   spaces \n\n\t ",
    "caf\u00e9 na\u00efve \U0001F600\U0001F600 \u4e2d\u6587 x\u00b2 \u0968\u0969",
]


def hash_of(value):
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()[:8]


def everything(record):
    """All that an encoding is asked for, as tests/tokenizer/support.ts puts it."""
    return [
        *(record[name] for name in ("ids", "tokens", "typeIds", "attentionMask", "specialTokensMask", "offsets")),
        *(record[name] for name in ("codePointOffsets", "wordIds", "sequenceIds")),
    ]


def hashes(tokenizer_json, texts):
    """A hash for each text of its encoding, its windows, its pair with the next text, and its decoded text."""
    tokenizer = oracle.build(tokenizer_json)
    whole = oracle.encode_batch(tokenizer, texts, {})
    pairs = oracle.encode_batch(tokenizer, [[a, b] for a, b in zip(texts, texts[1:] + texts[:1])], {"addSpecialTokens": False})
    cut = oracle.encode_batch(tokenizer, texts, WINDOWS)
    return " ".join(
        hash_of(
            [everything(each) for each in (record, pair, window, *window["windows"])]
            + [record["decoded"], record["decodedWithoutSpecial"]]
        )
        for record, pair, window in zip(whole, pairs, cut)
    )


def digests(tokenizer_json):
    """A hash of ids and offsets for each 4096 code points of the planes that have characters."""
    tokenizer, result = oracle.build(tokenizer_json), []
    for base in range(0, 0x34000, 0x1000):
        numbers = array.array("i")
        texts = []
        for start in range(base, base + 0x1000, 32):
            characters = [chr(c) for c in range(start, start + 32) if not 0xD800 <= c <= 0xDFFF]
            texts.append("".join(f"a{c}1{c} {c}" for c in characters))
        for encoding in tokenizer.encode_batch(texts, add_special_tokens=False):
            numbers.extend(encoding.ids)
            numbers.extend(n for offsets in encoding.offsets for n in offsets)
        result.append(hashlib.sha256(numbers.tobytes()).hexdigest()[:8])
    return " ".join(result)


def save(name, value):
    (FOLDER / name).write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def deberta(base):
    """vocab.json and merges.txt of `base` with the special tokens of a DeBERTa, as transformers puts them together."""
    from transformers import DebertaTokenizer

    names = {"<s>": "[CLS]", "<pad>": "[PAD]", "</s>": "[SEP]", "<unk>": "[UNK]"}
    vocab = {names.get(token, token): id for token, id in base["model"]["vocab"].items()}
    vocab["[MASK]"] = len(vocab)
    merges = [tuple(pair) for pair in base["model"]["merges"]]
    return json.loads(DebertaTokenizer(vocab=vocab, merges=merges)._tokenizer.to_str())


def without_vocabulary(model):
    return {key: value for key, value in model.items() if key not in ("vocab", "merges")}


def main():
    FOLDER.mkdir(exist_ok=True)
    texts = [oracle.well_formed(text) for text in json.loads((FIXTURES / "nasty.json").read_text())] + TEXTS
    training = [line for line in ENGLISH.splitlines() for _ in range(3)] + texts
    base = train_byte_level(training, 520)
    save("tokenizer.json", base)
    records = oracle.encode_batch(oracle.build(base), TEXTS, {})
    goldens = {"oracle": oracle.VERSION, "texts": TEXTS, "options": WINDOWS, "variants": {}, "characters": {}}
    goldens["encodings"] = [[" ".join(record["tokens"]), *compact(record), record["decoded"]] for record in records]
    for name, changes in variants(base).items():
        # The changes to the file, of which the vocabulary is none.
        shown = {**changes, **({"model": without_vocabulary(changes["model"])} if "model" in changes else {})}
        goldens["variants"][name] = {"changes": shown, "hashes": hashes({**base, **changes}, texts)}
    for name, tokenizer_json in character_models(training, 160):
        goldens["characters"][name] = {"json": tokenizer_json, "hashes": hashes(tokenizer_json, texts)}
    goldens["deberta"] = hashes(deberta(base), texts)
    goldens["digests"] = {name: digests({**base, **variants(base)[name]}) for name in ("as Llama 3", "numbers apart")}
    save("goldens.json", goldens)


if __name__ == "__main__":
    main()
