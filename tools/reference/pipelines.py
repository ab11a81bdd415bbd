"""Makes tests/fixtures/pipelines: one small random encoder, a head for each task, and what transformers' pipelines answer with them.

    python pipelines.py checkpoints   the checkpoints
    python pipelines.py               what they answer, but for question answering
    python pipelines.py qa            question answering, which transformers dropped in version 5: run it with 4.57

encoder.safetensors (float16) is shared; <name>.safetensors has the head and <name>.config.json the config of one checkpoint, so that a
test puts them together as two shards. vocab.txt is trained on TEXT below. expected.json has, for each task, the inputs, the options
and the results. Offsets are in code points, as Python counts.

Where a pipeline is at fault, the right answer is computed here from its own parts:
- a long text's entities: transformers cuts entities at the edges of windows and keeps the longer of two that overlap. Here each token
  has the scores of the window that shows most around it, before the pipeline's own aggregation;
- a long context's answers: transformers adds up the probabilities of an answer that two overlapping windows show, beyond 1. Here the
  higher one counts; within a window they add up.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from capture import precision_of
from make_fixtures import randomize
from safetensors.torch import load_file, save_file
from transformers import BertConfig, pipeline

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "pipelines"
SIZES = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, max_position_embeddings=64)
TEXT = """
The old lighthouse stands on a rock at the northern end of the island. Every evening the keeper climbs ninety steps to light the lamp.
Maria Lindqvist has kept the light since the spring of 1987, when the harbour company in Bergen sent her there with two dogs and a boat.
She reads the weather from the colour of the sea, and writes down what she sees: wind, rain, ships, birds, and the height of the waves.
In winter nobody comes. In summer students from the university of Oslo count puffins, measure the water and ask her many questions.
"Why do you stay?" they ask. She laughs and says that a lamp does not ask why it burns. Then she makes coffee, strong and black.
Paul, a doctor who sailed from London to Iceland, once waited three days in her kitchen for the storm to end. He liked the bread.
The company wanted to sell the house. The people of the town wrote letters, made speeches, sang songs and kept it. It was good news.
Great music, terrible food, a boring film, the best game of the year: what people like or hate they tell each other at the table.
Politics, sports, science and travel fill the newspaper. The minister resigned; the team lost; a new star was found; trains are late.
How tall is the tower? It is 31 metres tall, painted white and red. Who painted it? Two brothers from France, in nine long weeks.
I can't believe it's already Monday. Don't forget your keys, your phone and your hat. We're waiting outside, near the café.
Buying or selling, sending or receiving, reading and writing: working days are longer than holidays, yet evenings are the shortest.
"""


def train_vocabulary():
    from tokenizers import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(lowercase=True)
    tokenizer.train_from_iterator(TEXT.strip().splitlines(), vocab_size=420, min_frequency=1, limit_alphabet=60, show_progress=False)
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary, key=vocabulary.get)


LABELS = {
    "sentiment": ["negative", "neutral", "positive"],
    "topics": ["politics", "sports", "science", "travel"],
    "regression": ["LABEL_0"],
    "ranker": ["LABEL_0"],
    "inference": ["contradiction", "entailment", "neutral"],
    "ner": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "ORG"],
    "qa": ["LABEL_0", "LABEL_1"],
    "masked": ["LABEL_0", "LABEL_1"],
}
CLASSES = {"ner": "BertForTokenClassification", "qa": "BertForQuestionAnswering", "masked": "BertForMaskedLM"}
PROBLEMS = {"topics": "multi_label_classification", "regression": "regression"}


def make_checkpoints():
    FOLDER.mkdir(parents=True, exist_ok=True)
    vocabulary = train_vocabulary()
    (FOLDER / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    shared = None
    for seed, (name, labels) in enumerate(LABELS.items()):
        config = BertConfig(vocab_size=len(vocabulary), id2label=dict(enumerate(labels)), label2id={l: i for i, l in enumerate(labels)},
                            problem_type=PROBLEMS.get(name), **SIZES)
        model = randomize(getattr(transformers, CLASSES.get(name, "BertForSequenceClassification"))(config), 7 + seed)
        shared = shared or {k: v.half().contiguous() for k, v in model.state_dict().items() if k.startswith("bert.")}
        model.load_state_dict({k: v.float() for k, v in shared.items() if not (k.startswith("bert.pooler") and name in CLASSES)}, strict=False)
        spread(model.eval(), load_tokenizer())
        state = model.half().state_dict()
        head = {k: v.contiguous() for k, v in state.items() if not k.startswith("bert.") and "decoder" not in k}
        save_file(head, FOLDER / f"{name}.safetensors")
        config = {**config.to_dict(), "architectures": [type(model).__name__]}
        kept = ("architectures", "hidden_size", "id2label", "intermediate_size", "label2id", "max_position_embeddings", "model_type",
                "num_attention_heads", "num_hidden_layers", "problem_type", "vocab_size")
        config = {key: config[key] for key in kept if config.get(key) is not None}
        (FOLDER / f"{name}.config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_file(shared, FOLDER / "encoder.safetensors")


def spread(model, tokenizer):
    """Makes a head's labels differ from text to text, and from token to token."""
    head = getattr(model, "classifier", getattr(model, "qa_outputs", None))
    head = getattr(head, "out_proj", head)
    if head is None:
        return
    inputs = tokenizer([*TEXTS, *NAMES], padding=True, return_tensors="pt")
    with torch.no_grad():
        output = model(**inputs)
        logits = output.logits if "logits" in output else torch.stack([output.start_logits, output.end_logits], -1)
        values = logits[inputs["attention_mask"].bool()] if logits.dim() == 3 else logits
        scale = 1.5 / values.std(0, keepdim=True)
        head.weight.mul_(scale.T)
        head.bias.copy_((head.bias - values.mean(0)) * scale[0] + torch.linspace(0.3, -0.3, len(head.bias)))


def open_checkpoint(name):
    """Puts encoder and head together, in float32."""
    folder = tempfile.mkdtemp()
    encoder = load_file(FOLDER / "encoder.safetensors")
    head = load_file(FOLDER / f"{name}.safetensors")
    if name in ("ner", "qa", "masked"):
        encoder = {k: v for k, v in encoder.items() if "pooler" not in k}
    save_file({k: v.float() for k, v in {**encoder, **head}.items()}, f"{folder}/model.safetensors", metadata={"format": "pt"})
    Path(folder, "config.json").write_text((FOLDER / f"{name}.config.json").read_text())
    tokenizer = load_tokenizer()
    config = json.loads(Path(folder, "config.json").read_text())
    model, info = getattr(transformers, config["architectures"][0]).from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    assert not info["missing_keys"], info
    return model.eval(), tokenizer


def load_tokenizer():
    folder = tempfile.mkdtemp()
    Path(folder, "vocab.txt").write_text((FOLDER / "vocab.txt").read_text())
    Path(folder, "tokenizer_config.json").write_text('{"model_max_length": 64, "do_lower_case": true, "tokenizer_class": "BertTokenizer"}')
    return transformers.AutoTokenizer.from_pretrained(folder)


def plain(value, digits=8):
    if isinstance(value, dict):
        return {key: plain(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item, digits) for item in value]
    if isinstance(value, (np.floating, float)):
        return float(f"{float(value):.{digits}g}")
    return int(value) if isinstance(value, np.integer) else value


TEXTS = [
    "Great music, terrible food.",
    "The minister resigned; the team lost.",
    "I can't believe it's already Monday!",
    "Bergen 🌧️ is wet, Oslo 👩‍🚀 flies, café Zoë opens late…",
]
PAIRS = [("How tall is the tower?", "It is 31 metres tall."), ("Who painted it?", "The team lost.")]
NAMES = [
    "Maria Lindqvist sailed from London to Bergen with Paul.",
    "Paul 👩‍👩‍👧 met Zoë in São Paulo 🇳🇴, near the café. 世界 wrote it.",
    "The university of Oslo, the harbour company of Bergen and two brothers from France.",
]
LONG = ("Maria Lindqvist kept the light for the harbour company in Bergen. Paul sailed from London to Iceland with two dogs. "
        "Students from the university of Oslo count puffins. " * 2).strip()


def classification():
    result = []
    for name in ("sentiment", "topics", "regression", "ranker"):
        model, tokenizer = open_checkpoint(name)
        classify = pipeline("text-classification", model=model, tokenizer=tokenizer)
        for text in TEXTS[:4]:
            result.append({"model": name, "text": text, "labels": classify(text, top_k=None)})
        for text, pair in PAIRS:
            result.append({"model": name, "text": text, "text_pair": pair, "labels": classify({"text": text, "text_pair": pair}, top_k=None)})
        if name == "sentiment":
            for function in ("sigmoid", "none"):
                labels = classify(TEXTS[0], top_k=2, function_to_apply=function)
                result.append({"model": name, "text": TEXTS[0], "function": function, "top_k": 2, "labels": labels})
    return result


def zero_shot():
    model, tokenizer = open_checkpoint("inference")
    classify = pipeline("zero-shot-classification", model=model, tokenizer=tokenizer)
    labels = ["politics", "sports", "travel"]
    result = []
    for text in TEXTS:
        for options in ({}, {"multi_label": True}, {"hypothesis_template": "It is about {}, is it?"}):
            answer = classify(text, labels, **options)
            result.append({"labels": labels, "options": options, **{"result": answer}})
    result.append({"labels": ["sports"], "options": {}, "result": classify(TEXTS[0], ["sports"])})
    return result


def entities():
    model, tokenizer = open_checkpoint("ner")
    ner = pipeline("token-classification", model=model, tokenizer=tokenizer)
    result = []
    for text in NAMES:
        for strategy in ("none", "simple", "first", "average", "max"):
            for ignore in (["O"], []) if text == NAMES[0] and strategy in ("none", "simple") else (["O"],):
                answer = ner(text, aggregation_strategy=strategy, ignore_labels=ignore)
                result.append({"text": text, "strategy": strategy, "ignore": ignore, "entities": answer})
    for strategy in ("none", "simple", "first", "average", "max"):
        result.append({"text": LONG, "strategy": strategy, "ignore": ["O"], "entities": long_entities(ner, LONG, strategy)})
    return result


def long_entities(ner, text, strategy, length=64):
    """See the docstring of the file."""
    strategy = type(ner).postprocess.__defaults__[0].__class__[strategy.upper()]
    tokenizer, stride = ner.tokenizer, length // 4
    inputs = tokenizer(text, truncation=True, max_length=length, stride=stride, return_overflowing_tokens=True,
                       return_offsets_mapping=True, return_special_tokens_mask=True, padding=True, return_tensors="pt")
    last = len(inputs["input_ids"]) - 1
    assert last > 0
    with torch.no_grad():
        logits = ner.model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits.numpy()
    best = {}
    for window in range(last + 1):
        rows = [i for i, special in enumerate(inputs["special_tokens_mask"][window]) if not special]
        for place, i in enumerate(rows):
            before = np.inf if window == 0 else place
            after = np.inf if window == last else len(rows) - 1 - place
            key = tuple(inputs["offset_mapping"][window][i].tolist())
            if key not in best or min(before, after) > best[key][0]:
                best[key] = (min(before, after), int(inputs["input_ids"][window][i]), logits[window][i])
    keys = sorted(best)
    ids = np.array([0] + [best[key][1] for key in keys])
    chosen = np.stack([np.zeros(logits.shape[-1])] + [best[key][2] for key in keys])
    scores = np.exp(chosen - chosen.max(-1, keepdims=True))
    scores = scores / scores.sum(-1, keepdims=True)
    special = np.array([1] + [0] * len(keys))
    pieces = ner.gather_pre_entities(text, ids, scores, [(0, 0)] + keys, special, strategy)
    answer = ner.aggregate(pieces, strategy)
    return [e for e in answer if e.get("entity") != "O" and e.get("entity_group") != "O"]


def masked():
    model, tokenizer = open_checkpoint("masked")
    fill = pipeline("fill-mask", model=model, tokenizer=tokenizer)
    result = []
    for text, options in [
        ("The [MASK] is white.", {}),
        ("The [MASK] is white.", {"top_k": 3}),
        ("She reads the [MASK], and laughs.", {"targets": ["sea", "bread", "tower"]}),
        ("The [MASK] of the [MASK] lost its [MASK].", {"top_k": 2}),
    ]:
        answer = fill(text, **options)
        result.append({"text": text, "options": options, "result": answer if isinstance(answer[0], list) else [answer]})
    return result


def features():
    model, tokenizer = open_checkpoint("sentiment")
    extract = pipeline("feature-extraction", model=model.bert, tokenizer=tokenizer)
    return [{"text": text, "vectors": extract(text)[0]} for text in ("Oslo is wet.",)]


def rollout():
    model, tokenizer = open_checkpoint("sentiment")
    inputs = tokenizer(TEXTS[0], return_tensors="pt")
    with torch.no_grad():
        attentions = model(**inputs, output_attentions=True).attentions
    rows = np.eye(inputs["input_ids"].shape[1])
    for layer in attentions:
        fused = 0.5 * layer[0].double().mean(0).numpy() + 0.5 * np.eye(len(rows))
        rows = (fused / fused.sum(-1, keepdims=True)) @ rows
    return {"text": TEXTS[0], "rollout": rows}


def integrated_gradients(model, tokenizer, text, pair=None, target=0, token=None, steps=50):
    """As captum's LayerIntegratedGradients on the embeddings: padding for all but special tokens is the baseline; in float64."""
    model = model.double()
    inputs = tokenizer(text, pair, return_tensors="pt", return_special_tokens_mask=True)
    special = inputs.pop("special_tokens_mask").bool()
    embeddings = model.base_model.embeddings

    def run(ids, vectors=None):
        kept = []
        hook = embeddings.register_forward_hook(lambda _, __, output: kept.append(output) if vectors is None else vectors)
        with precision_of(model):
            logits = model(**{**inputs, "input_ids": ids}).logits[0]
        hook.remove()
        return (logits[token] if token is not None else logits)[target], kept[0].detach() if kept else None

    ids = inputs["input_ids"]
    logit, end = run(ids)
    baseline_logit, start = run(torch.where(special, ids, tokenizer.pad_token_id))
    total = torch.zeros_like(end)
    places, weights = np.polynomial.legendre.leggauss(steps)
    for place, weight in zip((1 + places) / 2, weights / 2):
        vectors = (start + place * (end - start)).requires_grad_()
        total += weight * torch.autograd.grad(run(ids, vectors)[0], vectors)[0]
    scores = (total * (end - start)).sum(-1)[0]
    assert abs(scores.sum() - (logit - baseline_logit)) < 1e-6
    return {"text": text, "pair": pair, "target": target, "token": token, "scores": scores.tolist(), "logit": logit.item(),
            "baseline_logit": baseline_logit.item()}


def attributions():
    model, tokenizer = open_checkpoint("sentiment")
    return [integrated_gradients(model, tokenizer, TEXTS[0]), integrated_gradients(model, tokenizer, *PAIRS[0], target=2)]


QUESTIONS = [
    ("How tall is the tower?", "The tower is 31 metres tall, painted white and red by two brothers."),
    ("Who sailed to Iceland?", "Paul 👩‍🚀 sailed from London 🇬🇧 to Iceland; Zoë’s café waited."),
]


def questions():
    from transformers.pipelines.question_answering import QuestionAnsweringPipeline

    model, tokenizer = open_checkpoint("qa")
    ask = QuestionAnsweringPipeline(model=model, tokenizer=tokenizer, framework="pt")
    result = []
    for question, context in [*QUESTIONS, ("Who kept the light?", LONG)]:
        for options in ({}, {"top_k": 3}, {"top_k": 2, "handle_impossible_answer": True}, {"top_k": 3, "align_to_words": False},
                        {"max_answer_len": 2}, {"max_seq_len": 40, "doc_stride": 10, "top_k": 3}):
            result.append({"question": question, "context": context, "options": options, "answers": answers(ask, question, context, options)})
    return result


def answers(ask, question, context, options):
    """See the docstring of the file."""
    reading = {key: value for key, value in options.items() if key in ("max_seq_len", "doc_stride")}
    choice = {key: value for key, value in options.items() if key not in reading}
    best = {}
    nothing = []
    with torch.no_grad():
        windows = [ask.forward(w) for w in ask.preprocess({"question": question, "context": context}, **reading)]
    for window in windows:
        found = ask.postprocess([window], **{**choice, "top_k": choice.get("top_k", 1)})
        for answer in found if isinstance(found, list) else [found]:
            if answer["answer"] == "":
                nothing.append(answer)
            elif answer["answer"].lower() not in best or best[answer["answer"].lower()]["score"] < answer["score"]:
                best[answer["answer"].lower()] = answer
        if choice.get("handle_impossible_answer") and not any(a["answer"] == "" for a in (found if isinstance(found, list) else [found])):
            everything = ask.postprocess([window], **{**choice, "top_k": 10000})
            nothing += [a for a in everything if a["answer"] == "" and a["score"] > 0]
    found = list(best.values())
    if nothing and choice.get("handle_impossible_answer"):
        found.append(min(nothing, key=lambda answer: answer["score"]))
    found = sorted(found, key=lambda answer: -answer["score"])[: choice.get("top_k", 1)]
    if len(windows) == 1:  # then the pipeline itself says the same
        own = ask(question=question, context=context, **options)
        own = own if isinstance(own, list) else [own]
        assert [a["answer"] for a in own] == [a["answer"] for a in found], (own, found)
    return {"windows": len(windows), "list": found}


def main(parts):
    path = FOLDER / "expected.json"
    if parts == ["checkpoints"]:
        return make_checkpoints()
    if parts == ["qa"]:
        made = {"question-answering": questions()}
    else:
        made = {"text-classification": classification(), "zero-shot-classification": zero_shot(), "token-classification": entities(),
                "fill-mask": masked(), "feature-extraction": features(), "attention-rollout": rollout(),
                "integrated-gradients": attributions()}
    expected = json.loads(path.read_text()) if path.exists() else {"versions": {}}
    for task, cases in made.items():
        expected[task] = plain(cases, 14 if task == "integrated-gradients" else 8)
        expected["versions"][task] = f"transformers {transformers.__version__}, torch {torch.__version__}"
    path.write_text(json.dumps(expected, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
