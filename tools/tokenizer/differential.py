"""Compares src/tokenizer with the Rust `tokenizers`, field by field, and counts the differences.

    python tools/tokenizer/differential.py --model FOLDER [--data FOLDER] [--only NAME] [--fuzz N]

FOLDER holds tokenizer.json and vocab.txt of a BERT model. Compared are token strings, ids, type ids, masks, offsets in
UTF-16 units and in code points, word ids, sequence ids, overflow windows, and decoded text with and without special
tokens. Needs `pip install tokenizers`, and transformers for the bare vocab.txt. Exits 1 on any difference.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import time

import oracle

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Subject:
    """src/tokenizer, in a Node process that answers JSON lines."""

    def __init__(self):
        command = ["npx", "tsx", str(ROOT / "tools/tokenizer/runner.ts")]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def load(self, **message):
        answer = self.ask(**message)
        if "error" in answer:
            sys.exit(f"cannot load: {answer['error']}")


class Report:
    def __init__(self, subject):
        self.subject, self.texts, self.tokens, self.differences = subject, 0, 0, 0

    def compare(self, tokenizer, inputs, options, label):
        """Encodes in chunks on both sides and compares; a panic of the oracle must be an error of the subject."""
        for at in range(0, len(inputs), 500):
            chunk = inputs[at : at + 500]
            expected = attempt(tokenizer, chunk, options)
            actual = self.subject.ask(inputs=chunk, options=options)
            self.texts += len(chunk)
            if isinstance(actual, dict) or expected is None:
                if not (isinstance(actual, dict) and expected is None):
                    self.differ(label, chunk, options, "error", expected and "none", actual)
                continue
            for text, wanted, got in zip(chunk, expected, actual):
                self.tokens += len(wanted["ids"])
                if wanted != got:
                    field = next(name for name in wanted if wanted[name] != got[name])
                    self.differ(label, text, options, field, wanted[field], got[field])

    def differ(self, label, text, options, field, expected, got):
        self.differences += 1
        if self.differences <= 20:
            shown = json.dumps([text, options, field], ensure_ascii=True)[:400]
            print(f"DIFFERENCE in {label}: {shown}\n  expected {str(expected)[:300]}\n  got      {str(got)[:300]}")


def attempt(tokenizer, inputs, options):
    try:
        return oracle.encode_batch(tokenizer, inputs, options)
    except BaseException as error:  # Rust panics arrive as PanicException, which is no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        return None


# ---- texts ------------------------------------------------------------------------------------------------------------


def nasty():
    return json.loads((ROOT / "tests/fixtures/tokenizer/nasty.json").read_text())


def data_sets(folder):
    for path in sorted(folder.iterdir()):
        if path.suffix in (".md",):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".jsonl":
            yield path.name, [json.loads(line)["text"] for line in text.splitlines()]
        elif path.suffix == ".json":
            paragraphs = [p for article in json.loads(text)["data"] for p in article["paragraphs"]]
            yield path.name, [p["context"] for p in paragraphs] + [q["question"] for p in paragraphs for q in p["qas"]]
        elif path.suffix == ".conll":
            sentences = [s for s in text.replace("\n\t\n", "\n\n").split("\n\n") if s]
            yield path.name, [" ".join(line.split("\t")[0] for line in s.splitlines()) for s in sentences]
            yield path.name + " (raw)", text.split("\n")
        else:
            yield path.name, text.split("\n")
    for path in sorted(folder.glob("sick*.tsv")):
        rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
        yield path.name + " (pairs)", [[row[1], row[2]] for row in rows]


def fuzz(count, seed=20240607):
    """Random strings: from all planes, from runs of one block, from nasty pieces glued together, marks in any order."""
    for text in random_strings(count, seed):
        # Two surrogates that happen to meet are one character, as they will be in JavaScript.
        yield text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def random_strings(count, seed):
    generator = random.Random(seed)
    pieces = [s for s in nasty() if s and len(s) < 40]

    def character():
        kind = generator.random()
        if kind < 0.3:
            return chr(generator.randrange(0x20, 0x7F))
        if kind < 0.5:
            return chr(generator.randrange(0x300, 0x370))
        if kind < 0.9:
            return chr(generator.randrange(0x10000))
        return chr(generator.randrange(0x110000))

    for _ in range(count):
        kind = generator.randrange(4)
        length = generator.randrange(1, 40)
        if kind == 0:
            yield "".join(character() for _ in range(length))
        elif kind == 1:
            base = generator.randrange(0x110000 - 0x100)
            yield "".join(generator.choice([" ", "a"] + [chr(base + generator.randrange(0x100))] * 5) for _ in range(length))
        elif kind == 2:
            yield generator.choice(["", " "]).join(generator.choice(pieces) for _ in range(generator.randrange(1, 6)))
        else:
            marks = [chr(c) for c in (0x301, 0x323, 0x334, 0x345, 0xF71, 0xF72, 0xF73, 0x1D165, 0x302E, 0x302A, 0x5B0, 0x64B)]
            yield "".join(generator.choice(["a", "\u00e9", "\uac00", "\u4e2d", " ", *marks]) for _ in range(length))


# ---- what to compare --------------------------------------------------------------------------------------------------

NORMALIZERS = {
    "uncased": {},
    "cased": {"lowercase": False},
    "cased, accents stripped": {"lowercase": False, "strip_accents": True},
    "uncased, accents kept": {"strip_accents": False},
    "no Chinese handling": {"handle_chinese_chars": False},
    "no cleaning": {"clean_text": False},
    "nothing": {"clean_text": False, "handle_chinese_chars": False, "lowercase": False},
}

ADDED = [
    # content, single_word, lstrip, rstrip, normalized, special
    ("Foo Bar", False, False, False, True, False),
    ("\u00c9a", True, False, False, True, False),
    ("<left>", False, True, False, False, True),
    ("<right>", False, False, True, False, False),
    ("<both>", False, True, True, True, True),
    ("word", True, False, False, False, False),
    ("wor", False, False, False, False, False),
    ("\u4e2d\u6587", False, True, True, False, False),
    ("\U0001F600!", True, True, True, False, False),
    ("[MASK]x", False, False, False, False, True),
    ("na\u00efve", False, False, False, False, False),
]


def added_tokens_json(base):
    """The vocabulary with added tokens of every kind, as the oracle itself saves it."""
    from tokenizers import AddedToken

    tokenizer = oracle.build(base)
    tokenizer.add_tokens(
        [
            AddedToken(content, single_word=single, lstrip=left, rstrip=right, normalized=normalized, special=special)
            for content, single, left, right, normalized, special in ADDED
        ]
    )
    return json.loads(tokenizer.to_str())


def added_texts():
    generator = random.Random(5)
    parts = [a[0] for a in ADDED] + [" ", "  ", "\u00a0", "foo bar", "FOO BAR", "\u00e9A", "a", ".", "word", "words", "_", "\u0301", "x"]
    fixed = ["I FOO bar x", "a  <left>  b", "a <right>  b", "a <both>  <both> b", "words word sword", "\u00e9a x\u00e9a \u00e9a."]
    return fixed + ["".join(generator.choice(parts) for _ in range(generator.randrange(1, 9))) for _ in range(3000)]


GENERIC = {
    "generic stages": dict(
        normalizer={"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]},
        pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "BertPreTokenizer"}]},
    ),
    "NFD only": dict(normalizer={"type": "NFD"}, pre_tokenizer={"type": "WhitespaceSplit"}),
    "no stages": dict(normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None),
    "BertProcessing": dict(post_processor={"type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]}),
    "no clean-up": dict(decoder={"type": "WordPiece", "prefix": "##", "cleanup": False}),
    "untyped model": dict(),
}


def truncation_options():
    for max_length in (2, 3, 4, 5, 7, 8, 16, 17):
        for strategy in ("longest_first", "only_first", "only_second"):
            for side in ("right", "left"):
                for stride in (0, 1, 3):
                    yield {"truncation": strategy, "maxLength": max_length, "truncationSide": side, "stride": stride}


def pairs_around(length):
    """Pairs whose tokens together come close to a limit, from either side."""
    for total in range(max(0, length - 5), length + 6):
        for first in {0, 1, total // 3, total // 2, total}:
            yield [" ".join("abcdefghij"[i % 10] for i in range(first)), " ".join("klmnopqrst"[i % 10] for i in range(total - first))]


def sweep_chunks(size):
    """Every code point but the surrogates, in contexts that show where it splits words and what it turns into."""
    for base in range(0, 0x110000, size):
        yield [c for c in range(base, base + size) if not 0xD800 <= c <= 0xDFFF]


def sweep(report, normalizer, label, apart):
    """All code points, each chunk on a vocabulary of the very characters that the oracle's stages make of them.

    `apart`: each in texts of its own; else 32 to a text, which is ten times as fast.
    """
    for chunk in sweep_chunks(0x2000):
        if not chunk:
            continue
        texts = [text for c in chunk for text in (f"a{chr(c)}b", chr(c))]
        if not apart:
            texts = [" ".join(texts[i : i + 64]) for i in range(0, len(texts), 64)]
        probe = oracle.build(oracle.wordpiece_json(["[UNK]", "[CLS]", "[SEP]"], **normalizer)).normalizer
        characters = sorted(set("".join(probe.normalize_str(text) for text in texts)) | {"a", "b"})
        vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *characters, *("##" + c for c in characters)]
        tokenizer_json = oracle.wordpiece_json(vocab, **normalizer)
        report.subject.load(tokenizerJson=tokenizer_json)
        report.compare(oracle.build(tokenizer_json), texts, {"addSpecialTokens": False}, label)


def bare_vocabulary(report, folder, texts):
    from transformers import BertTokenizer

    vocab = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    for config in (
        {"do_lower_case": True},
        {"do_lower_case": False},
        {"do_lower_case": False, "strip_accents": True},
        {"do_lower_case": True, "strip_accents": False, "tokenize_chinese_chars": False},
    ):
        reference = BertTokenizer(vocab={token: i for i, token in enumerate(vocab)}, **config)._tokenizer
        report.subject.load(vocab=vocab, tokenizerConfig=config)
        report.compare(reference, texts, {}, f"vocab.txt {config}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--only")
    parser.add_argument("--fuzz", type=int, default=20000)
    arguments = parser.parse_args()
    base = json.loads((arguments.model / "tokenizer.json").read_text(encoding="utf-8"))
    base["truncation"] = base["padding"] = None
    subject, failed = Subject(), False

    def section(name, run):
        nonlocal failed
        if arguments.only and arguments.only not in name:
            return
        report, start = Report(subject), time.time()
        run(report)
        failed = failed or report.differences > 0
        seconds = time.time() - start
        print(f"{name:45} {report.texts:9} texts {report.tokens:10} tokens {report.differences:6} differences {seconds:6.1f} s", flush=True)

    def on(tokenizer_json, inputs, options={}, label=""):
        def run(report):
            subject.load(tokenizerJson=tokenizer_json)
            report.compare(oracle.build(tokenizer_json), inputs, options, label)

        return run

    random_texts = list(fuzz(arguments.fuzz))
    for name, changes in NORMALIZERS.items():
        changed = oracle.with_changes(base, normalizer=changes)
        section(f"nasty: {name}", on(changed, nasty()))
        section(f"fuzz: {name}", on(changed, random_texts))
    for name, changes in GENERIC.items():
        changed = {**base, **changes}
        if name == "untyped model":
            changed["model"] = {key: value for key, value in base["model"].items() if key != "type"}
        section(f"nasty: {name}", on(changed, nasty()))
        section(f"nasty pairs: {name}", on(changed, [[a, b] for a, b in zip(nasty(), nasty()[1:])]))
        section(f"fuzz: {name}", on(changed, random_texts[:5000]))
    with_added = added_tokens_json(base)
    section("added tokens", on(with_added, nasty() + added_texts()))
    section("added tokens, cased", on(added_tokens_json(oracle.with_changes(base, normalizer={"lowercase": False})), added_texts()))
    section("bare vocab.txt", lambda report: bare_vocabulary(report, arguments.model, nasty() + random_texts[:5000]))

    def truncate(report):
        subject.load(tokenizerJson=base)
        tokenizer = oracle.build(base)
        texts = [" ".join("abcdefghij"[i % 10] for i in range(n)) for n in range(0, 24)] + ["unaffable \U0001F600 caf\u00e9 " * 4]
        for options in truncation_options():
            room = options["maxLength"] - 2
            single = options["truncation"] != "only_second"
            if options["stride"] < room or options["stride"] == 0:
                for text in texts:
                    if single or len(text.split()) <= room:
                        report.compare(tokenizer, [text], options, "truncation")
            room = options["maxLength"] - 3
            if room >= 0 and (options["stride"] < room or options["stride"] == 0):
                for pair in pairs_around(options["maxLength"] - 3):
                    report.compare(tokenizer, [pair], options, "truncation of pairs")

    section("truncation", truncate)

    def near_limit(report):
        subject.load(tokenizerJson=base)
        tokenizer = oracle.build(base)
        for limit in (128, 512):
            for count in range(limit - 4, limit + 4):
                text = " ".join(["word"] * count)
                for options in ({}, {"truncationSide": "left"}, {"stride": 100}, {"addSpecialTokens": False}):
                    options = {"truncation": "longest_first", "maxLength": limit, **options}
                    report.compare(tokenizer, [text, [text, "b"], ["b", text]], options, "near the limit")

    section("near 128 and 512", near_limit)

    def padded(report):
        subject.load(tokenizerJson=base, tokenizerConfig={"tokenizer_class": "BertTokenizer"})  # which says what token pads
        tokenizer = oracle.build(base)
        for side in ("left", "right"):
            for multiple in (None, 8):
                for options in ({"padding": "longest"}, {"padding": "max_length", "maxLength": 40}):
                    for truncation in ({}, {"truncation": "longest_first", "maxLength": 40, "stride": 5}):
                        options = {**truncation, **options, "paddingSide": side}
                        if multiple:
                            options["padToMultipleOf"] = multiple
                        report.compare(tokenizer, nasty(), options, "padding")
                        report.compare(tokenizer, [[a, b] for a, b in zip(nasty(), nasty()[7:])], options, "padding")

    section("padding", padded)
    if arguments.data:
        for name, texts in data_sets(arguments.data):
            section(f"{name}", on(base, texts))
            cased = oracle.with_changes(base, normalizer={"lowercase": False})
            section(f"{name}, cased", on(cased, texts))
    for name, normalizer in NORMALIZERS.items():
        section(f"every code point: {name}", lambda report: sweep(report, normalizer, name, name == "uncased"))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
