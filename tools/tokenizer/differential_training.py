"""Compares the trainers of src/tokenizer with those of the Rust `tokenizers`: tokens with their ids, and merges in order.

    python tools/tokenizer/differential_training.py --data FOLDER

In Rust the ids of characters with a prefix (`##a`) come from the order of a hash table, another in every run, and decide
between pairs as frequent as each other. So WordPiece is compared with these characters given as special tokens, where all
must be equal; as it is, only counts of common tokens are shown, beside those of Rust's own next run. Exits 1 on any
difference.
"""

import argparse
import json
import pathlib
import sys
import tempfile
import time

import oracle
from differential import Subject, data_sets, fuzz, nasty
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, trainers

BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def rust(kind, texts, options):
    """The same training in Rust. @returns the tokenizer.json and the seconds it took"""
    names = dict(vocabSize="vocab_size", minFrequency="min_frequency", specialTokens="special_tokens")
    names |= dict(limitAlphabet="limit_alphabet", maxTokenLength="max_token_length", initialAlphabet="initial_alphabet")
    given = {names[name]: value for name, value in options.items() if name in names}
    if kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=options.get("lowercase", True))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        defaults = dict(min_frequency=2, limit_alphabet=1000, special_tokens=BERT, show_progress=False)
        trainer = trainers.WordPieceTrainer(**{**defaults, **given})
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.normalizer = normalizers.Lowercase() if options.get("lowercase") else None
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=options.get("addPrefixSpace", False))
        defaults = dict(min_frequency=2, special_tokens=ROBERTA, show_progress=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet() + given.pop("initial_alphabet", [])
        trainer = trainers.BpeTrainer(**{**defaults, **given}, initial_alphabet=alphabet)
    start = time.time()
    tokenizer.train_from_iterator(texts, trainer)
    return json.loads(tokenizer.to_str()), time.time() - start


def continuations(texts, lowercase=True):
    """Every character that may occur behind another, with the prefix."""
    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    return ["##" + c for c in sorted(set("".join(normalizer.normalize_str(text) for text in texts))) if not c.isspace()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    sets = {name: [t for t in texts if isinstance(t, str)] for name, texts in data_sets(arguments.data)}
    sets = {name: [oracle.well_formed(text) for text in texts] for name, texts in sets.items() if texts}
    sets |= {"nasty": [oracle.well_formed(text) for text in nasty()], "fuzz": [oracle.well_formed(text) for text in fuzz(3000)]}
    sets["repeated letters"] = ["aaaa aaaaa aaa abab ababab bababa aabb aabbaabb abcabcabc " * 5, "mississippi banana bananas"] * 3
    subject, failed = Subject(), False

    def compare(name, kind, options):
        nonlocal failed
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(sets[name], file)
            file.flush()
            got = subject.ask(train=kind, texts=file.name, options=options)
        wanted, seconds = rust(kind, sets[name], options)
        vocab = wanted["model"]["vocab"]
        tokens = sorted(vocab, key=vocab.get)
        same = got.get("tokens") == tokens
        note = ""
        if kind == "bpe":
            same = same and got["merges"] == wanted["model"]["merges"]
        if same:  # Rust loads what is written here, and gives the same ids
            ours, theirs = oracle.build(got["json"]), oracle.build(wanted)
            texts = sets[name][:300] + nasty()
            texts = [oracle.well_formed(text) for text in texts]
            same = all(
                a.ids == b.ids
                for a, b in zip(ours.encode_batch(texts, add_special_tokens=False), theirs.encode_batch(texts, add_special_tokens=False))
            )
        if not same:
            shared = len(set(got.get("tokens", [])) & set(tokens))
            note = got.get("error") or f"{shared} of {len(tokens)} tokens in common"
        failed = failed or not same
        shown = {k: v for k, v in options.items() if k != "specialTokens"}
        print(f"{'equal' if same else 'DIFFERENT':9} {kind:9} {name:26} {len(tokens):6} tokens  Rust {seconds:5.2f} s, here {got.get('seconds', 0):5.2f} s  {shown} {note}", flush=True)

    for name, texts in sets.items():
        size = 30000 if len(texts) > 3000 else 2000
        for options in ({"vocabSize": size}, {"vocabSize": size, "minFrequency": 1, "lowercase": True, "addPrefixSpace": True}, {"vocabSize": size, "maxTokenLength": 6}):
            compare(name, "bpe", options)
        given = {"vocabSize": size, "limitAlphabet": 100000}
        compare(name, "wordpiece", {**given, "specialTokens": BERT + continuations(texts)})
        cased = {"lowercase": False, "specialTokens": BERT + continuations(texts, False), "minFrequency": 5}
        compare(name, "wordpiece", {**given, **cased})
    for name in ("sst2.train.tsv", "us-speeches.txt"):
        options = {"vocabSize": 100000, "limitAlphabet": 100000}
        first, second = (set(rust("wordpiece", sets[name], options)[0]["model"]["vocab"]) for _ in range(2))
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(sets[name], file)
            file.flush()
            ours = set(subject.ask(train="wordpiece", texts=file.name, options=options)["tokens"])
        print(f"as it is: {name}: {len(first)} tokens, {len(first & ours)} of them here too, {len(first & second)} in Rust's next run")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
