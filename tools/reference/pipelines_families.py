"""Makes tests/fixtures/pipelines/<family>: what transformers' pipelines answer where tokens are not BERT's.

    python pipelines_families.py checkpoints   the tokenizers and checkpoints
    python pipelines_families.py               what they answer, but for question answering
    python pipelines_families.py qa            question answering, with transformers 4.57, as pipelines.py

The same files as pipelines.py makes, but tokenizer.json for vocab.txt. Families: roberta, byte-level BPE, whose tokens hold the space before
them and may be a part of a character; xlmRoberta, Unigram, words split at spaces; debertaV2, Unigram, whose offsets hold that space.

Where a pipeline is at fault, the right answer is computed from its own parts, as in pipelines.py, and here too:
- without a continuing_subword_prefix the pipeline takes for a word whatever has no space before it, so that a comma, or the quotation mark
  before a name, is a part of the name. Here the tokenizer says which tokens are a word;
- words that were read back one by one are put together without the spaces that their tokens hold. Here all tokens are read back at once;
- a space that is a token of its own has no place in the text: the pipeline may answer with it, that is, with nothing;
- fill-mask leaves special tokens out of its texts, words that the vocabulary lacks too, but not where there are several masks.
"same" tells where the pipeline itself says what is written here.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pipelines
import torch
import transformers
from make_fixtures import randomize
from pipelines import LONG, NAMES, PAIRS, QUESTIONS, TEXT, TEXTS, plain
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast, pipeline

SIZES = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
RELATIVE = dict(relative_attention=True, pos_att_type=["c2p", "p2c"], position_buckets=8, max_relative_positions=-1, share_att_key=True,
                norm_rel_ebd="layer_norm", position_biased_input=False, type_vocab_size=0, pad_token_id=0)
MAX_LENGTH = 96
FAMILIES = {  # prefix of the classes, name of the encoder, options, special tokens: cls sep pad unk mask
    "roberta": ("Roberta", "roberta", dict(pad_token_id=1, type_vocab_size=1, max_position_embeddings=MAX_LENGTH + 2),
                ("<s>", "</s>", "<pad>", "<unk>", "<mask>")),
    "xlmRoberta": ("XLMRoberta", "roberta", dict(pad_token_id=1, type_vocab_size=1, max_position_embeddings=MAX_LENGTH + 2),
                   ("<s>", "</s>", "<pad>", "<unk>", "<mask>")),
    "debertaV2": ("DebertaV2", "deberta", RELATIVE | dict(max_position_embeddings=MAX_LENGTH), ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]")),
}
LABELS = {name: pipelines.LABELS[name] for name in ("topics", "inference", "ner", "qa", "masked")}
HEADS = {"ner": "TokenClassification", "qa": "QuestionAnswering", "masked": "MaskedLM"}


def train_tokenizer(family):
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    cls, sep, pad, unk, mask = FAMILIES[family][3]
    special = [cls, pad, sep, unk] if cls == "<s>" else [pad, cls, sep, unk]
    if family == "roberta":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(vocab_size=640, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
        tokenizer.decoder = decoders.ByteLevel()
    else:
        tokenizer = Tokenizer(models.Unigram())
        space = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
        if family == "xlmRoberta":
            tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), space])
        else:
            steps = [normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "), normalizers.NFC(), normalizers.Strip(left=False, right=True)]
            tokenizer.normalizer = normalizers.Sequence(steps)
            tokenizer.pre_tokenizer = space
        trainer = trainers.UnigramTrainer(vocab_size=420, special_tokens=special, unk_token=unk, show_progress=False)
        tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.train_from_iterator(TEXT.strip().splitlines(), trainer=trainer)
    tokenizer.add_special_tokens([AddedToken(mask, lstrip=cls == "<s>", normalized=False, special=True)])
    ids = [(token, tokenizer.token_to_id(token)) for token in (cls, sep)]
    if family == "roberta":
        tokenizer.post_processor = processors.RobertaProcessing((sep, ids[1][1]), (cls, ids[0][1]), trim_offsets=True, add_prefix_space=False)
    elif family == "xlmRoberta":
        tokenizer.post_processor = processors.TemplateProcessing(single=[cls, "$A", sep], pair=[cls, "$A", sep, sep, "$B", sep], special_tokens=ids)
    else:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{cls}:0 $A:0 {sep}:0", pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1", special_tokens=ids)
    return tokenizer


def load_tokenizer(family):
    cls, sep, pad, unk, mask = FAMILIES[family][3]
    names = ["input_ids", "attention_mask"] + (["token_type_ids"] if family == "debertaV2" else [])  # as the family's own class says
    return PreTrainedTokenizerFast(model_input_names=names, tokenizer_file=str(pipelines.FOLDER / family / "tokenizer.json"),
                                   model_max_length=MAX_LENGTH, cls_token=cls, sep_token=sep, pad_token=pad, unk_token=unk, mask_token=mask, bos_token=cls, eos_token=sep)


def make_checkpoints(family):
    prefix, encoder_name, options, (cls, sep, pad, unk, mask) = FAMILIES[family]
    folder = pipelines.FOLDER / family
    folder.mkdir(parents=True, exist_ok=True)
    train_tokenizer(family).save(str(folder / "tokenizer.json"))
    settings = dict(tokenizer_class="PreTrainedTokenizerFast", model_max_length=MAX_LENGTH, cls_token=cls, sep_token=sep, pad_token=pad,
                    unk_token=unk, mask_token=mask, bos_token=cls, eos_token=sep)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings) + "\n")
    shared = None
    for seed, (name, labels) in enumerate(LABELS.items()):
        model_class = getattr(transformers, f"{prefix}For{HEADS.get(name, 'SequenceClassification')}")
        config = model_class.config_class(
            vocab_size=len(load_tokenizer(family)), id2label=dict(enumerate(labels)), label2id={l: i for i, l in enumerate(labels)},
            problem_type=pipelines.PROBLEMS.get(name), **SIZES, **options)
        model = randomize(model_class(config), 31 + seed)
        shared = shared or {k: v.half().contiguous() for k, v in model.state_dict().items() if k.startswith(f"{encoder_name}.")}
        model.load_state_dict({k: v.float() for k, v in shared.items()}, strict=False)
        model.tie_weights()
        pipelines.spread(model.eval(), load_tokenizer(family))
        head = {k: v.half().contiguous() for k, v in model.state_dict().items() if not k.startswith(f"{encoder_name}.") and "decoder" not in k}
        save_file(head, folder / f"{name}.safetensors")
        config = {**config.to_dict(), "architectures": [type(model).__name__]}
        kept = ("architectures", "id2label", "label2id", "model_type", "problem_type", "vocab_size", "legacy", *SIZES, *options)
        (folder / f"{name}.config.json").write_text(json.dumps({k: config[k] for k in kept if config.get(k) is not None}, indent=1) + "\n")
    save_file(shared, folder / "encoder.safetensors")


def open_checkpoint(family, name):
    """Puts encoder and head together, in float32."""
    folder, source = tempfile.mkdtemp(), pipelines.FOLDER / family
    tensors = {k: v.float() for part in ("encoder", name) for k, v in load_file(source / f"{part}.safetensors").items()}
    save_file(tensors, f"{folder}/model.safetensors", metadata={"format": "pt"})
    text = (source / f"{name}.config.json").read_text()
    Path(folder, "config.json").write_text(text)
    model_class = getattr(transformers, json.loads(text)["architectures"][0])
    model, info = model_class.from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    assert not info["missing_keys"], info
    return model.eval(), load_tokenizer(family)


PAIR = '"London," wrote Maria; Oslo\'s café\tand  Bergen (Iceland)!'


def entities(family):
    model, tokenizer = open_checkpoint(family, "ner")
    ner = pipeline("token-classification", model=model, tokenizer=tokenizer)
    result = []
    for text in (*NAMES, PAIR, LONG):
        for strategy in ("none", "simple", "first", "average", "max"):
            found = by_words(ner, text, strategy)
            own = ner(text, aggregation_strategy=strategy)
            # 'none' and 'simple' know no words; and here are texts whose words are what the pipeline takes for them.
            if text is not LONG and strategy in ("none", "simple"):
                assert plain(own) == plain(found), (own, found)
            result.append({"text": text, "strategy": strategy, "ignore": ["O"], "entities": found, "same": plain(own) == plain(found)})
    return result


def by_words(ner, text, strategy):
    """The pipeline's own aggregation, of words that the tokenizer knows, each token as the window saw it that shows most around it."""
    strategy = type(ner).postprocess.__defaults__[0].__class__[strategy.upper()]
    stride = MAX_LENGTH // 4
    inputs = ner.tokenizer(text, truncation=True, max_length=MAX_LENGTH, stride=stride, return_overflowing_tokens=True,
                           return_offsets_mapping=True, return_special_tokens_mask=True, padding=True, return_tensors="pt")
    windows = len(inputs["input_ids"])
    with torch.no_grad():
        logits = ner.model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits.numpy()
    whole = ner.tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    best = {}
    for window in range(windows):
        rows = [i for i, special in enumerate(inputs["special_tokens_mask"][window]) if not special]
        step = MAX_LENGTH - 2 - stride
        for place, i in enumerate(rows):
            before = np.inf if window == 0 else place
            after = np.inf if window == windows - 1 else len(rows) - 1 - place
            token = window * step + place
            if token not in best or min(before, after) > best[token][0]:
                best[token] = (min(before, after), logits[window][i])
                assert whole["input_ids"][token] == inputs["input_ids"][window][i]
    count = len(whole["input_ids"])
    assert sorted(best) == list(range(count))
    chosen = np.stack([np.zeros(logits.shape[-1], logits.dtype)] + [best[token][1] for token in range(count)])
    scores = np.exp(chosen - chosen.max(-1, keepdims=True))
    scores = scores / scores.sum(-1, keepdims=True)
    special = np.array([1] + [0] * count)
    aggregate_word, group_sub_entities = type(ner).aggregate_word, type(ner).group_sub_entities

    def word(pieces, strategy):
        return aggregate_word(ner, pieces, strategy) | {"tokens": [piece["word"] for piece in pieces]}

    def group(words):
        tokens = [token for word in words for token in word.get("tokens", [word["word"]])]
        return group_sub_entities(ner, words) | {"word": ner.tokenizer.convert_tokens_to_string(tokens)}

    ner.aggregate_word, ner.group_sub_entities = word, group
    pieces = ner.gather_pre_entities(text, np.array([0] + whole["input_ids"]), scores, [(0, 0)] + whole["offset_mapping"], special, strategy)
    words = whole.word_ids()
    for token, piece in enumerate(pieces):
        piece["is_subword"] = token > 0 and words[token] == words[token - 1]
    answer = ner.aggregate(pieces, strategy)
    del ner.aggregate_word, ner.group_sub_entities
    return [e for e in answer if e.get("entity") != "O" and e.get("entity_group") != "O"]


def masked(family):
    model, tokenizer = open_checkpoint(family, "masked")
    fill, mask = pipeline("fill-mask", model=model, tokenizer=tokenizer), tokenizer.mask_token
    words = ["Ġthe", "Ġlamp", "ing"] if family == "roberta" else ["▁the", "▁lamp", "ing"]
    assert all(word in tokenizer.get_vocab() for word in words)
    result = []
    for text, options in [
        (f"The {mask} is white.", {}),
        (f"The {mask} is white.", {"top_k": 3}),
        (f"The{mask} is white, Zoë’s café 🌧️.", {"top_k": 2}),
        (f"She reads the {mask}, and laughs.", {"targets": words}),
        (f"She reads the {mask}, and laughs.", {"targets": [" lamp", "er", "he" if family == "roberta" else "the"]}),
        (f"{mask} {mask} of the {mask} lost its {mask}.", {"top_k": 2}),
    ]:
        answer = fill(text, **options)
        answer = answer if isinstance(answer[0], list) else [answer]
        ids = tokenizer(text)["input_ids"]
        places = [i for i, token in enumerate(ids) if token == tokenizer.mask_token_id]
        for place, fillings in zip(places, answer):
            for filling in fillings:
                tokens = ids[1:place] + [filling["token"]] + ids[place + 1 : -1]
                sequence = tokenizer.decode(tokens)
                assert len(places) > 1 or set(tokens) & set(tokenizer.all_special_ids) or sequence == filling["sequence"]
                filling["sequence"] = sequence
        result.append({"text": text, "options": options, "result": answer})
    return result


def zero_shot(family):
    model, tokenizer = open_checkpoint(family, "inference")
    classify = pipeline("zero-shot-classification", model=model, tokenizer=tokenizer)
    labels = ["politics", "sports", "travel"]
    return [{"labels": labels, "options": options, "result": classify(text, labels, **options)} for text in (*TEXTS, NAMES[1])
            for options in ({}, {"multi_label": True}, {"hypothesis_template": "It is about {}, is it?"})]


def classification(family):
    model, tokenizer = open_checkpoint(family, "topics")
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer)
    result = [{"model": "topics", "text": text, "labels": classify(text, top_k=None)} for text in TEXTS]
    for text, pair in PAIRS:
        labels = classify({"text": text, "text_pair": pair}, top_k=None)
        result.append({"model": "topics", "text": text, "text_pair": pair, "labels": labels})
    return result


def attributions(family):
    sequences, tokens, words = (open_checkpoint(family, name) for name in ("topics", "ner", "masked"))
    integrated_gradients = pipelines.integrated_gradients
    return [{"model": "topics"} | integrated_gradients(*sequences, *PAIRS[0], target=1),
            {"model": "ner"} | integrated_gradients(*tokens, NAMES[0], target=3, token=5),
            {"model": "masked"} | integrated_gradients(*words, f"The {words[1].mask_token} is white.", target=70, token=2)]


def questions(family):
    from transformers.pipelines import question_answering
    from transformers.pipelines.question_answering import QuestionAnsweringPipeline

    class Asking(QuestionAnsweringPipeline):
        """Tells, before a window is decoded, which of its stretches of tokens have text."""

        def postprocess(self, windows, **options):
            (window,) = windows
            first, last = (np.array(window["encoding"].offsets)[:, side] for side in (0, 1))
            question_answering.decode_spans = lambda start, end, *rest: decode_spans(start, end, first[:, None] < last[None], *rest)
            return super().postprocess(windows, **options)

    model, tokenizer = open_checkpoint(family, "qa")
    ask = Asking(model=model, tokenizer=tokenizer, framework="pt")
    return [{"question": question, "context": context, "options": options, "answers": pipelines.answers(ask, question, context, options)}
            for question, context in [*QUESTIONS, ("Who kept the light?", LONG), ("Who?", PAIR)]
            for options in ({}, {"top_k": 3}, {"top_k": 2, "handle_impossible_answer": True}, {"top_k": 3, "align_to_words": False},
                            {"max_seq_len": 64, "doc_stride": 16, "top_k": 2})]


def decode_spans(start, end, has_text, count, longest, wanted):
    """transformers', but for stretches without text."""
    scores = np.tril(np.triu(start.reshape(-1, 1) * end.reshape(1, -1)), longest - 1) * has_text
    order = np.argsort(-scores, axis=None, kind="stable")[:count]
    starts, ends = np.unravel_index(order, scores.shape)
    kept = [i for i, (s, e) in enumerate(zip(starts, ends)) if wanted.reshape(-1)[s] and wanted.reshape(-1)[e] and has_text[s, e]]
    return starts[kept], ends[kept], scores[starts[kept], ends[kept]]


def main(parts):
    for family in FAMILIES:
        path = pipelines.FOLDER / family / "expected.json"
        if parts == ["checkpoints"]:
            make_checkpoints(family)
            continue
        if parts == ["qa"]:
            made = {"question-answering": questions(family)}
        else:
            made = {"text-classification": classification(family), "zero-shot-classification": zero_shot(family),
                    "token-classification": entities(family), "fill-mask": masked(family), "integrated-gradients": attributions(family)}
        expected = json.loads(path.read_text()) if path.exists() else {"versions": {}}
        for task, cases in made.items():
            expected[task] = plain(cases, 14 if task == "integrated-gradients" else 8)
            expected["versions"][task] = f"transformers {transformers.__version__}, torch {torch.__version__}"
        path.write_text(json.dumps(expected, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
