"""The oracle: Rust `tokenizers` through Python, made to answer in the terms of src/tokenizer."""

import copy
import re

import tokenizers
from tokenizers import Tokenizer

VERSION = f"tokenizers {tokenizers.__version__}"


def build(tokenizer_json):
    """A tokenizer.json (parsed) as an oracle; truncation and padding only when asked for, as in src/tokenizer."""
    import json

    tokenizer = Tokenizer.from_str(json.dumps({**tokenizer_json, "truncation": None, "padding": None}))
    return tokenizer


def wordpiece_json(vocab, unk="[UNK]", added=None, post_processor=None, **normalizer):
    """The tokenizer.json of a BERT tokenizer on a vocabulary (a list of tokens)."""
    ids = {token: i for i, token in enumerate(vocab)}
    special = [t for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if t in ids]
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    options = dict(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [dict(id=ids[t], content=t, **flags) for t in special] + (added or []),
        "normalizer": {"type": "BertNormalizer", **options, **normalizer},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": post_processor
        or {"type": "BertProcessing", "sep": ["[SEP]", ids["[SEP]"]], "cls": ["[CLS]", ids["[CLS]"]]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": unk,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    }


def with_changes(tokenizer_json, **changes):
    """A copy with the members of some stages replaced: with_changes(json, normalizer={"lowercase": False})."""
    result = copy.deepcopy(tokenizer_json)
    for stage, members in changes.items():
        result[stage] = {**result[stage], **members}
    return result


def well_formed(text):
    """Rust strings hold no surrogates: each lone one becomes U+FFFD, as in src/tokenizer."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def utf16_offsets(text):
    """Offsets in UTF-16 units of each code point offset of a text."""
    result = [0]
    for character in text:
        result.append(result[-1] + (2 if character > "\uffff" else 1))
    return result


def set_options(tokenizer, options, is_pair):
    """Applies EncodeOptions (of src/tokenizer) to an oracle."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if options.get("truncation"):
        tokenizer.enable_truncation(
            options["maxLength"],
            stride=options.get("stride", 0),
            strategy=options["truncation"],
            direction=options.get("truncationSide", "right"),
        )
    if options.get("padding"):
        pad = next(token for token in ("[PAD]", "<pad>") if tokenizer.token_to_id(token) is not None)
        tokenizer.enable_padding(
            direction=options.get("paddingSide", "right"),
            pad_id=tokenizer.token_to_id(pad),
            pad_token=pad,
            length=options["maxLength"] if options["padding"] == "max_length" else None,
            pad_to_multiple_of=options.get("padToMultipleOf"),
        )


def record(encoding, texts):
    """One encoding as src/tokenizer reports it."""
    maps = [utf16_offsets(text) for text in texts]
    pairs = list(zip(encoding.offsets, encoding.sequence_ids))
    return {
        "ids": encoding.ids,
        "tokens": encoding.tokens,
        "typeIds": encoding.type_ids,
        "attentionMask": encoding.attention_mask,
        "specialTokensMask": encoding.special_tokens_mask,
        "offsets": [[0, 0] if s is None else [maps[s][a], maps[s][b]] for (a, b), s in pairs],
        "codePointOffsets": [list(offsets) for offsets in encoding.offsets],
        "wordIds": encoding.word_ids,
        "sequenceIds": encoding.sequence_ids,
    }


def encode_batch(tokenizer, inputs, options):
    """The records of a batch, windows included, and the decoded texts. An input is a text or a pair."""
    inputs = [[well_formed(text) for text in ([i] if isinstance(i, str) else i)] for i in inputs]
    set_options(tokenizer, options, any(len(texts) == 2 for texts in inputs))
    encodings = tokenizer.encode_batch(
        [texts[0] if len(texts) == 1 else tuple(texts) for texts in inputs],
        add_special_tokens=options.get("addSpecialTokens", True),
    )
    results = []
    for texts, encoding in zip(inputs, encodings):
        results.append(
            {
                **record(encoding, texts),
                "windows": [record(window, texts) for window in encoding.overflowing],
                "decoded": tokenizer.decode(encoding.ids, skip_special_tokens=False),
                "decodedWithoutSpecial": tokenizer.decode(encoding.ids, skip_special_tokens=True),
            }
        )
    return results
