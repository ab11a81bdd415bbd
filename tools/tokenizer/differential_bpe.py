"""Compares byte-level and other BPE of src/tokenizer with the Rust `tokenizers`, as differential.py does for WordPiece.

    python tools/tokenizer/differential_bpe.py --data FOLDER [--only NAME] [--fuzz N]

The tokenizers are trained here, with the Rust library, on the texts of FOLDER. Exits 1 on any difference.
"""

import argparse
import json
import pathlib
import sys
import time

import oracle
from differential import Report, Subject, added_texts, added_tokens_json, data_sets, fuzz, nasty, pairs_around, truncation_options
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def train_byte_level(texts, size):
    """A tokenizer as RoBERTa's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, min_frequency=2, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return json.loads(tokenizer.to_str())


def train_characters(texts, size, model={}, trainer={}, stages={}):
    """BPE on characters, of which many are unknown."""
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    options = dict(vocab_size=size, limit_alphabet=60, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(**options, **trainer))
    for stage, value in stages.items():
        setattr(tokenizer, stage, value)
    return json.loads(tokenizer.to_str())


def variants(base):
    """Byte-level tokenizers whose stages are put together as families do."""
    roberta = dict(type="RobertaProcessing", sep=["</s>", 2], cls=["<s>", 0])
    byte_level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
    raw_bytes = {**byte_level, "use_regex": False}
    template = json.loads(
        processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 0), ("</s>", 2)]
        ).__getstate__()
    )

    def split(pattern, behavior="Isolated", invert=False):
        return dict(type="Split", pattern={"Regex": pattern}, behavior=behavior, invert=invert)

    def sequence(*items):
        return dict(type="Sequence", pretokenizers=list(items))

    plain = dict(single_word=False, lstrip=False, rstrip=False, normalized=True, special=False)
    first = 1 + max(token["id"] for token in base["added_tokens"])
    more = [dict(id=first + i, content=content, **plain) for i, content in enumerate(["   ", "  ", "|||EMAIL|||", "caf\u00e9"])]
    spaced = {**byte_level, "add_prefix_space": True}
    return {
        "as RoBERTa": {},
        "space put before": dict(pre_tokenizer=spaced, post_processor={**roberta, "trim_offsets": True, "add_prefix_space": True}),
        "space before, not trimmed": dict(pre_tokenizer=spaced, post_processor={**roberta, "trim_offsets": False, "add_prefix_space": True}),
        "space before, trimmed as if not": dict(pre_tokenizer=spaced, post_processor={**roberta, "trim_offsets": True, "add_prefix_space": False}),
        "as GPT-2": dict(post_processor={**byte_level, "trim_offsets": False}),
        "as GPT-2, trimmed": dict(post_processor={**byte_level, "add_prefix_space": True}),
        "as ModernBERT": dict(normalizer=dict(type="NFC"), post_processor=template, added_tokens=base["added_tokens"] + more),
        "ByteLevel and template": dict(post_processor=dict(type="Sequence", processors=[byte_level, template])),
        "as Llama 3": dict(
            pre_tokenizer=sequence(split(LLAMA3), raw_bytes),
            model={**base["model"], "ignore_merges": True},
            post_processor=dict(type="Sequence", processors=[byte_level, template]),
        ),
        "as CLIP": dict(
            normalizer=dict(type="Lowercase"), pre_tokenizer=sequence(split(CLIP, "Removed", True), byte_level)
        ),
        "GPT-2's pattern as Split": dict(pre_tokenizer=sequence(split(GPT2), raw_bytes)),
        "lower case, accents": dict(normalizer=dict(type="Sequence", normalizers=[dict(type="NFD"), dict(type="Lowercase")])),
        "space before each word": dict(pre_tokenizer=sequence(dict(type="WhitespaceSplit"), spaced)),
        "digits apart": dict(pre_tokenizer=sequence(dict(type="Digits", individual_digits=True), byte_level)),
        "numbers apart": dict(pre_tokenizer=sequence(dict(type="Digits", individual_digits=False), byte_level)),
        "cut at e": dict(pre_tokenizer=sequence(dict(type="CharDelimiterSplit", delimiter="e"), byte_level)),
        "no words": dict(pre_tokenizer=raw_bytes),
        "nothing before the model": dict(pre_tokenizer=None, decoder=dict(type="Fuse")),
        "merges in their old form": dict(model={**base["model"], "merges": [" ".join(pair) for pair in base["model"]["merges"]]}),
        **{
            f"punctuation {behavior}": dict(pre_tokenizer=sequence(dict(type="Punctuation", behavior=behavior), byte_level))
            for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
        },
        **{
            f"Split {behavior}": dict(pre_tokenizer=sequence(split(r"[aeiou]|\p{N}+|\s", behavior, invert), byte_level))
            for behavior, invert in (("Removed", False), ("MergedWithPrevious", True), ("MergedWithNext", False), ("Contiguous", False))
        },
        "Split at a string": dict(
            pre_tokenizer=sequence(dict(type="Split", pattern={"String": "en"}, behavior="MergedWithPrevious", invert=False), byte_level)
        ),
    }


def character_models(texts, size=400):
    """BPE on characters: unknown ones dropped, one by one, fused, as bytes; prefixes, suffixes, decoders."""
    unknown = dict(unk_token="<unk>")
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    yield "dropped", train_characters(texts, size)
    yield "unknown", train_characters(texts, size, unknown)
    yield "fused", train_characters(texts, size, {**unknown, "fuse_unk": True})
    yield "suffix", train_characters(
        texts, size + 100, {**unknown, "end_of_word_suffix": "</w>"}, dict(end_of_word_suffix="</w>"), dict(decoder=decoders.BPEDecoder())
    )
    yield "prefix", train_characters(
        texts, size + 100, {**unknown, "continuing_subword_prefix": "##"}, dict(continuing_subword_prefix="##"), dict(decoder=decoders.WordPiece())
    )
    as_bytes = train_characters(
        texts, size, {**unknown, "byte_fallback": True}, stages=dict(
            pre_tokenizer=None,
            decoder=decoders.Sequence([decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]),
        )
    )
    vocab = as_bytes["model"]["vocab"]
    vocab.update({token: len(vocab) + i for i, token in enumerate(fallback)})
    yield "bytes", as_bytes
    some = {token: id for token, id in vocab.items() if token not in ("<0xF0>", "<0xCC>")}
    some = {token: i for i, token in enumerate(some)}
    yield "some bytes", {**as_bytes, "model": {**as_bytes["model"], "vocab": some, "fuse_unk": True}}


def every_code_point():
    """Each in contexts that show its category and what it does to its neighbours; few to a text, to tell them apart."""
    for base in range(0, 0x110000, 64):
        characters = [chr(c) for c in range(base, base + 64) if not 0xD800 <= c <= 0xDFFF]
        for at in range(0, len(characters), 16):
            part = characters[at : at + 16]
            yield "".join(f"a{c}1{c}.{c} {c}{c}  {c}'{c}" for c in part)
            yield from part


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--only")
    parser.add_argument("--fuzz", type=int, default=20000)
    arguments = parser.parse_args()
    sets = dict(data_sets(arguments.data))
    texts = [text if isinstance(text, str) else " ".join(text) for texts in sets.values() for text in texts]
    base = train_byte_level(texts, 20000)
    print(f"trained on {len(texts)} texts: {len(base['model']['vocab'])} tokens, {len(base['model']['merges'])} merges")
    subject, failed, total = Subject(), False, 0

    def section(name, tokenizer_json, inputs, options={}, apart=False, config={}):
        """`apart`: one by one, because Rust panics on some, and then on all that go with them."""
        nonlocal failed, total
        if arguments.only and arguments.only not in name:
            return
        report, start = Report(subject), time.time()
        subject.load(tokenizerJson=tokenizer_json, tokenizerConfig=config)
        tokenizer = oracle.build(tokenizer_json)
        for each in options if isinstance(options, list) else [options]:
            for part in [[text] for text in inputs] if apart else [inputs]:
                report.compare(tokenizer, part, each, name)
        failed, total = failed or report.differences > 0, total + report.texts
        seconds = time.time() - start
        print(f"{name:50} {report.texts:9} texts {report.tokens:10} tokens {report.differences:6} differences {seconds:6.1f} s", flush=True)

    random_texts = list(fuzz(arguments.fuzz))
    pairs = [[a, b] for a, b in zip(nasty(), nasty()[1:])]
    short_pairs = [pair for pair in pairs if sum(map(len, pair)) < 50]  # windows of both texts multiply
    windows = [
        {"truncation": strategy, "maxLength": length, "stride": stride, "truncationSide": side, "addSpecialTokens": special}
        for strategy in ["longest_first"]
        for length, stride in ((12, 0), (12, 2), (16, 3))
        for side in ("right", "left")
        for special in (True, False)
    ]
    for name, changes in variants(base).items():
        changed = {**base, **changes}
        section(f"nasty: {name}", changed, nasty())
        section(f"nasty pairs: {name}", changed, pairs, [{}, {"addSpecialTokens": False}])
        section(f"windows: {name}", changed, nasty() + short_pairs, windows)
        section(f"fuzz: {name}", changed, random_texts if name == "as RoBERTa" else random_texts[:5000])
        section(f"added tokens: {name}", added_tokens_json(changed), nasty() + added_texts())
    for name, changed in character_models(texts):
        section(f"characters {name}: nasty", changed, nasty() + pairs)
        section(f"characters {name}: fuzz", changed, random_texts)
        section(f"characters {name}: data", changed, sets["udhr.jsonl"])
    masks = ["a <mask> b", "<mask>", "  <mask>  <mask>x", "a<mask>", "<s>a</s>", "\u00a0<mask>", "a \n<mask> b", "<pad> <unk><mask>"]
    section("special tokens in the text", base, masks + [[a, b] for a in masks for b in masks], [{}, {"addSpecialTokens": False}])
    section("truncation of pairs", base, [pair for length in (3, 8, 16) for pair in pairs_around(length)],
            [options for options in truncation_options() if options["stride"] < options["maxLength"] - 4 and options["truncation"] != "only_second"], True)
    section("padding", base, nasty() + pairs, [
        {"padding": "longest"}, {"padding": "max_length", "maxLength": 40, "paddingSide": "left", "padToMultipleOf": 8}],
        config={"pad_token": "<pad>"})
    for name, texts in sets.items():
        section(name, base, texts)
        section(f"{name}, space before", {**base, **variants(base)["space put before"]}, texts)
    section("every code point", base, list(every_code_point()))
    several = [text for text in every_code_point() if len(text) > 2]
    for name in ("as Llama 3", "numbers apart", "punctuation Isolated"):
        section(f"every code point, {name}", {**base, **variants(base)[name]}, several)
    slow_files(subject, base, nasty() + random_texts[:5000])
    print(f"{total} texts")
    sys.exit(1 if failed else 0)


def slow_files(subject, base, texts):
    """vocab.json and merges.txt, as transformers puts them together, but for the mask, which here takes a space along."""
    from transformers import RobertaTokenizer

    vocab, merges = base["model"]["vocab"], [tuple(pair) for pair in base["model"]["merges"]]
    vocab = {**vocab, "<mask>": len(vocab)}
    mask = AddedToken("<mask>", lstrip=True, normalized=False, special=True)
    report = Report(subject)
    for config in ({}, {"add_prefix_space": True}, {"trim_offsets": False}):
        reference = RobertaTokenizer(vocab=dict(vocab), merges=list(merges), mask_token=mask, **config)._tokenizer
        subject.load(vocab=vocab, merges=[" ".join(pair) for pair in merges], tokenizerConfig=config)
        report.compare(reference, texts, {}, f"vocab.json {config}")
    print(f"{'vocab.json and merges.txt':50} {report.texts:9} texts {report.tokens:10} tokens {report.differences:6} differences")
    if report.differences > 0:
        sys.exit(1)


if __name__ == "__main__":
    main()
