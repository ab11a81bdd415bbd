"""As differential.py, for Unigram tokenizers: the four kinds that transformers makes of SentencePiece models, and stages.

    python tools/tokenizer/differential_sentencepiece.py --work FOLDER --data FOLDER [--only NAME] [--fuzz N] [--kinds a,b]

Trains a SentencePiece model of each kind on the data into the work folder, unless it is there already, and lets
transformers save the tokenizer.json it makes of it. Compared are src/tokenizer on the .model file and on the
tokenizer.json with the oracle on the tokenizer.json. Needs `pip install transformers sentencepiece protobuf`.
"""

import argparse
import base64
import copy
import json
import pathlib
import shutil
import sys
import time

import oracle
from differential import Report, Subject, added_texts, data_sets, fuzz, nasty, pairs_around, sweep_chunks, truncation_options

ENGLISH = dict(character_coverage=0.9995, model_type="unigram", max_sentence_length=8000, num_threads=2, minloglevel=2)
KINDS = {
    # class of transformers, file, training; the pieces are laid out as in the published models
    "albert": (
        "AlbertTokenizer",
        "spiece.model",
        dict(
            vocab_size=8000,
            normalization_rule_name="nmt_nfkc",
            pad_id=0,
            unk_id=1,
            bos_id=-1,
            eos_id=-1,
            control_symbols=["[CLS]", "[SEP]", "[MASK]"],
            user_defined_symbols=list('().\u2013\u00a3\u20ac"-'),
        ),
    ),
    "xlm-roberta": ("XLMRobertaTokenizer", "sentencepiece.bpe.model", dict(vocab_size=16000, normalization_rule_name="nmt_nfkc")),
    "camembert": ("CamembertTokenizer", "sentencepiece.bpe.model", dict(vocab_size=8000, normalization_rule_name="nmt_nfkc_cf")),
    "deberta-v2": (
        "DebertaV2Tokenizer",
        "spm.model",
        dict(
            vocab_size=8000,
            normalization_rule_name="nmt_nfkc",
            pad_id=0,
            bos_id=1,
            eos_id=2,
            unk_id=3,
            pad_piece="[PAD]",
            bos_piece="[CLS]",
            eos_piece="[SEP]",
            unk_piece="[UNK]",
        ),
    ),
}


def corpus(folder):
    for name, texts in data_sets(folder):
        for text in texts:
            text = text if isinstance(text, str) else " ".join(text)
            for at in range(0, len(text), 1500):
                line = text[at : at + 1500].replace("\0", " ").replace("\n", " ").strip()
                if line:
                    yield line


def train(work, data, name):
    """The folders of the .model file and of the tokenizer.json of a kind."""
    import sentencepiece
    import transformers

    class_name, file, options = KINDS[name]
    model, converted = work / name, work / f"{name}-json"
    if not (model / file).exists():
        model.mkdir(parents=True, exist_ok=True)
        texts = work / "corpus.txt"
        if not texts.exists():
            texts.write_text("\n".join(corpus(data)), encoding="utf-8")
        prefix = work / "trained"
        sentencepiece.SentencePieceTrainer.train(input=str(texts), model_prefix=str(prefix), **ENGLISH, **options)
        shutil.move(f"{prefix}.model", model / file)
    (model / "config.json").write_text(json.dumps({"model_type": name}))  # two kinds call their file alike
    if not (converted / "tokenizer.json").exists():
        getattr(transformers, class_name).from_pretrained(model).save_pretrained(converted)
    return model, converted


def exact(tokenizer_json):
    """The oracle as transformers builds it from a .model file: reading a tokenizer.json costs scores their last bit."""
    from tokenizers import models

    tokenizer, model = oracle.build(tokenizer_json), tokenizer_json["model"]
    tokenizer.model = models.Unigram([tuple(entry) for entry in model["vocab"]], model["unk_id"], model["byte_fallback"])
    return tokenizer


# ---- stages beside those of the four kinds ----------------------------------------------------------------------------


def regex(pattern, content):
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def text(pattern, content):
    return {"type": "Replace", "pattern": {"String": pattern}, "content": content}


def stages(charsmap):
    """Changes to a tokenizer.json, by name."""
    precompiled = {"type": "Precompiled", "precompiled_charsmap": charsmap}

    def metaspace(scheme, split=True, kind="pre_tokenizer"):
        return {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": split}

    def sequence(*normalizers):
        return dict(normalizer={"type": "Sequence", "normalizers": list(normalizers)})

    def spaced(scheme):
        both = [{"type": "WhitespaceSplit"}, metaspace(scheme)]
        return dict(pre_tokenizer={"type": "Sequence", "pretokenizers": both}, decoder=metaspace(scheme))

    yield "NFC", sequence({"type": "NFC"})
    yield "NFKC", sequence({"type": "NFKC"})
    yield "NFKD", sequence({"type": "NFKD"})
    yield "NFKD, StripAccents, Lowercase", sequence({"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"})
    yield "Nmt, NFKC", sequence({"type": "Nmt"}, {"type": "NFKC"})
    yield "Precompiled twice", sequence(precompiled, precompiled)
    yield "NFD, Precompiled, NFC", sequence({"type": "NFD"}, precompiled, {"type": "NFC"})
    yield "Strip, Precompiled, spaces", sequence(
        {"type": "Strip", "strip_left": True, "strip_right": True}, precompiled, regex(" {2,}", " ")
    )
    yield "Strip left", sequence({"type": "Strip", "strip_left": True, "strip_right": False})
    yield "Replace whitespace", sequence(regex("\\s+", " "))
    yield "Replace, anchored", sequence(regex("\\A +| +\\z", ""), regex(" {2,}", " "), regex("\\A\u2581", "\u2581\u2581"))
    yield "Replace classes", sequence(regex("[a-c\u0300-\u036f.]+x?|[^\\s!-~]{3}", "<\u00e9>"), text("e", ""), text("  ", "\u3000 "))
    yield "Prepend", sequence({"type": "Prepend", "prepend": "\u2581"}, text(" ", "\u2581"))
    for scheme in ("always", "first", "never"):
        yield f"Metaspace {scheme}", dict(pre_tokenizer=metaspace(scheme), decoder=metaspace(scheme))
        yield f"Metaspace {scheme}, whole", dict(pre_tokenizer=metaspace(scheme, False), decoder=metaspace(scheme))
        yield f"Whitespace, Metaspace {scheme}", {**spaced(scheme), **sequence({"type": "Strip", "strip_left": True, "strip_right": True})}
    old = {"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True}
    yield "Metaspace of old files", dict(pre_tokenizer=old, decoder=old)
    yield "no stages", dict(normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None)
    decoders = [text("\u2581", " "), regex(" {2,}|[aeo]", "_")]
    yield "decoder Replace", dict(decoder={"type": "Sequence", "decoders": decoders})


def byte_fallback(base):
    """With the 256 bytes in the vocabulary, at the end."""
    changed = copy.deepcopy(base)
    changed["model"]["byte_fallback"] = True
    changed["model"]["vocab"] += [[f"<0x{byte:02X}>", -20.0] for byte in range(256)]
    changed["added_tokens"] = [token for token in changed["added_tokens"] if token["id"] < len(base["model"]["vocab"])]
    return changed


def odd_scores(base):
    """Ties, positive scores, tokens that are there twice, no unknown characters: where an order could show."""
    changed = copy.deepcopy(base)
    vocab = changed["model"]["vocab"]
    for i, entry in enumerate(vocab):
        entry[1] = float(-(i % 7)) if i % 3 else 1.5
    vocab[40][0] = vocab[50][0]
    vocab[41][0] = "\u2581\u4e00\u2581"
    return changed


def word_level(base):
    changed = copy.deepcopy(base)
    words = ["<unk>", "the", "of", "is", "to", "and", "token", "hello", ".", ",", "word", "How", "are", "you", "a"]
    changed.update(
        added_tokens=[],
        normalizer=None,
        post_processor=None,
        decoder=None,
        pre_tokenizer={"type": "BertPreTokenizer"},
        model={"type": "WordLevel", "vocab": {word: i for i, word in enumerate(words)}, "unk_token": "<unk>"},
    )
    return changed


def with_added(base):
    from differential import ADDED
    from tokenizers import AddedToken

    tokenizer = oracle.build(base)
    tokenizer.add_tokens(
        [
            AddedToken(content, single_word=single, lstrip=left, rstrip=right, normalized=normalized, special=special)
            for content, single, left, right, normalized, special in ADDED
        ]
    )
    return json.loads(tokenizer.to_str())


def sweep(report, base, apart):
    """Every code point, on a vocabulary of the very characters that the oracle's stages make of them."""
    for chunk in sweep_chunks(0x2000):
        if not chunk:
            continue
        texts = [text for c in chunk for text in (f"a{chr(c)}b", chr(c), f"{chr(c)}\u0301\u0323 e{chr(c)}")]
        if not apart:
            texts = [" ".join(texts[i : i + 64]) for i in range(0, len(texts), 64)]
        probe = oracle.build(base)
        normalized = "".join(probe.normalizer.normalize_str(text) if probe.normalizer else text for text in texts)
        known = [piece for piece, _ in base["model"]["vocab"]]
        extra = sorted(set(normalized) - set(known))
        changed = {**base, "model": {**base["model"], "vocab": base["model"]["vocab"][:200] + [[c, -12.0] for c in extra]}}
        changed["added_tokens"] = []
        changed["model"]["unk_id"] = 3
        report.subject.load(tokenizerJson=changed)
        report.compare(oracle.build(changed), texts, {"addSpecialTokens": False}, "sweep")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--only")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--fuzz", type=int, default=20000)
    arguments = parser.parse_args()
    subject, totals = Subject(), [0, 0, 0]

    def section(name, run):
        if arguments.only and arguments.only not in name:
            return
        report, start = Report(subject), time.time()
        run(report)
        for i, count in enumerate((report.texts, report.tokens, report.differences)):
            totals[i] += count
        seconds = time.time() - start
        print(f"{name:55} {report.texts:9} texts {report.tokens:10} tokens {report.differences:6} differences {seconds:6.1f} s", flush=True)

    def on(tokenizer_json, inputs, options={}, load=None, build=oracle.build):
        def run(report):
            subject.load(**(load or dict(tokenizerJson=tokenizer_json)))
            report.compare(build(tokenizer_json), inputs, options, "")

        return run

    random_texts = list(fuzz(arguments.fuzz))
    pairs = [[a, b] for a, b in zip(nasty(), nasty()[1:])]
    for kind in arguments.kinds.split(","):
        model, converted = train(arguments.work, arguments.data, kind)
        base = json.loads((converted / "tokenizer.json").read_text(encoding="utf-8"))
        loads = {"json": dict(folder=str(converted)), "model": dict(folder=str(model))}
        for name, load in loads.items():
            how = dict(load=load, build=exact if name == "model" else oracle.build)
            section(f"{kind} {name}: nasty", on(base, nasty(), **how))
            section(f"{kind} {name}: nasty pairs", on(base, pairs, **how))
            section(f"{kind} {name}: fuzz", on(base, random_texts, **how))
            for data, texts in data_sets(arguments.data):
                section(f"{kind} {name}: {data}", on(base, texts, **how))
        section(f"{kind}: added tokens", on(with_added(base), nasty() + added_texts()))

        def truncated(report):
            subject.load(folder=str(model))
            tokenizer = exact(base)
            words = [" ".join("abcdefghij"[i % 10] for i in range(n)) for n in range(0, 24)]
            for options in truncation_options():
                room = options["maxLength"] - tokenizer.num_special_tokens_to_add(False)
                if room >= 0 and (options["stride"] < room or options["stride"] == 0) and options["truncation"] != "only_second":
                    for word in words:
                        report.compare(tokenizer, [word], options, "truncation")
                room = options["maxLength"] - tokenizer.num_special_tokens_to_add(True)
                if room > 0 and (options["stride"] < room or options["stride"] == 0):
                    for pair in pairs_around(room):
                        report.compare(tokenizer, [pair], options, "truncation of pairs")

        section(f"{kind}: truncation", truncated)

        def padded(report):
            subject.load(folder=str(model))
            tokenizer = exact(base)
            for side in ("left", "right"):
                for options in ({"padding": "longest", "padToMultipleOf": 8}, {"padding": "max_length", "maxLength": 40}):
                    options = {"truncation": "longest_first", "maxLength": 40, "stride": 5, **options, "paddingSide": side}
                    report.compare(tokenizer, nasty(), options, "padding")
                    report.compare(tokenizer, pairs, options, "padding")

        section(f"{kind}: padding", padded)
        section(f"{kind}: every code point", lambda report: sweep(report, base, True))
        if kind == "xlm-roberta":
            charsmap = base["normalizer"]["precompiled_charsmap"]
            for name, changes in stages(charsmap):
                changed = {**base, **changes}
                section(f"{name}: nasty", on(changed, nasty()))
                section(f"{name}: nasty pairs", on(changed, pairs))
                section(f"{name}: fuzz", on(changed, random_texts))
                section(f"{name}: every code point", lambda report: sweep(report, changed, False))
                section(f"{name}: added tokens", on(with_added(changed), added_texts()))
            for name, changed in (
                ("byte fallback", byte_fallback(base)),
                ("odd scores", odd_scores(base)),
                ("WordLevel", word_level(base)),
                ("untyped model", {**base, "model": {k: v for k, v in base["model"].items() if k != "type"}}),
            ):
                section(f"{name}: nasty", on(changed, nasty()))
                section(f"{name}: fuzz", on(changed, random_texts))
    print(f"{'all':55} {totals[0]:9} texts {totals[1]:10} tokens {totals[2]:6} differences")
    sys.exit(1 if totals[2] else 0)


if __name__ == "__main__":
    main()
