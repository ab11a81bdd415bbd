"""Makes tests/fixtures: small random BERT checkpoints with what PyTorch computes for them, and results of single operations.

    python make_fixtures.py                          everything that needs no download
    python make_fixtures.py base ops                 only these
    python make_fixtures.py minilm --minilm FOLDER   parity of the full-precision all-MiniLM-L6-v2 (tools/fetch-original.mjs)

bert/<name>/ holds config.json, the weights, and reference[.<inputs>].safetensors (float32) with reference[.<inputs>].f64.safetensors
(float64, from the same float32 weights and the same inputs). The weights are far larger than a fresh BERT's, biases and layer norms
included, so that a mistake shows. README.md here lists the cases.

ops.safetensors (F32 unless said; every result as <case>.y.f32 and <case>.y.f64, both from the float32 inputs):
    erf.x, erf.y.*                      erf.wide.x (F64), erf.wide.y.f64: arguments that float32 cannot hold
    act.x, act.<name>.y.*               every parameterless entry of transformers' ACT2FN
    softmax.x, softmax.y.*              over the last axis; rows: plain, large, equal, one dominant, masked with float32's minimum
    layer_norm.x .weight .bias          rows: plain, tiny variance, large offset, constant, large; layer_norm.eps1e-12.y.*, layer_norm.eps1e-5.y.*
    linear.x .weight .bias              linear.y.*, linear.no_bias.y.*
    matmul.a .b                         matmul.y.*
    embedding.ids (I64) .weight         embedding.y.*
    attention.q .k .v [tokens, hidden], attention.offsets (I64), 3 heads: attention.y.* (context, [tokens, hidden]) and
                                        attention.<i>.probabilities.* [heads, T, T] of sequence i
    pooling.x [tokens, hidden], pooling.offsets (I64): pooling.mean.y.* .max.y.* .cls.y.* .normalized_mean.y.*
"""

import argparse
import json
import shutil
from pathlib import Path

import capture
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers.activations import ACT2FN

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
BERT = dict(  # every size differs from every other, so that a mixed-up axis cannot pass
    vocab_size=61,
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=37,
    max_position_embeddings=40,
    hidden_act="gelu",
    layer_norm_eps=1e-12,
)
SEED = 51
WITH_PARAMETERS = ("prelu", "xielu")  # activations that learn: no BERT config can name them


# --- checkpoints -------------------------------------------------------------------------------------------------------------------


def randomize(model, seed):
    """Weights at which attention is far from uniform and no bias or layer norm is neutral. Sorted by name: no word about module order."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        with torch.no_grad():
            if "LayerNorm.weight" in name:
                parameter.copy_(1 + 0.3 * noise)
            elif parameter.dim() == 1:
                parameter.copy_(0.3 * noise)
            elif "embeddings" in name:
                parameter.copy_(0.7 * noise)
            else:
                parameter.copy_(noise * 1.4 / parameter.shape[1] ** 0.5)
    return model


def make(name, shape=(3, 11), class_name="BertModel", seed=SEED, variants=("",), activations=False, labels=False, edit=None,
         model_options=None, save_options=None, dtype=None, alter=None, references=True, **config):
    """One folder: config, weights, and a reference pair for each variant of the inputs. `alter(model)` changes the weights before
    saving, `edit(folder)` the saved files."""
    folder = FIXTURES / "bert" / name
    shutil.rmtree(folder, ignore_errors=True)
    model_class = getattr(transformers, class_name)
    model = randomize(model_class(transformers.BertConfig(**{**BERT, **config}), **(model_options or {})), seed)
    if alter:
        with torch.no_grad():
            alter(model)
    model.to(dtype or torch.float32).save_pretrained(folder, **(save_options or {}))
    (folder / "generation_config.json").unlink(missing_ok=True)
    if edit:
        edit(folder)
    for variant in variants if references else ():
        reference(folder, shape, seed, variant, activations=activations and not variant, labels=labels)
    return folder


def reference(folder, shape=(3, 11), seed=SEED, variant="", label="", class_name=None, config=None, activations=False, labels=False):
    """Captures reference[.<label>].safetensors and its float64 twin. variant: "", left, holes, full, positions."""
    suffix = "".join(f".{part}" for part in (label, variant) if part)
    for dtype, end in (("float32", ""), ("float64", ".f64")):
        model = capture.load_model(folder, class_name, dtype, config)
        inputs = capture.random_inputs(model.config, shape, seed)
        if variant in ("left", "holes", "full"):
            capture.change_mask(inputs, variant, seed)
        if variant == "positions":
            inputs["position_ids"] = capture.random_positions(model.config, inputs, seed)
        if labels:
            inputs.update(capture.random_labels(model, inputs, seed))
        tensors = capture.run(model, inputs, activations, grad=labels)
        capture.save(folder / f"reference{suffix}{end}.safetensors", tensors, model, seed)


def make_base():
    make("base", activations=True)


def make_masks():
    make("masks", shape=(4, 10), variants=("left", "holes", "full", "positions"))


def make_sizes():
    """One token type; odd head counts; one layer, or four; a feed-forward narrower than the hidden size; one head."""
    make("oneTokenType", type_vocab_size=1, num_hidden_layers=1, hidden_size=20, num_attention_heads=5)
    make("sevenHeads", (2, 9), hidden_size=21, num_attention_heads=7, num_hidden_layers=4, intermediate_size=13, type_vocab_size=3)
    make("oneHead", (2, 9), hidden_size=18, num_attention_heads=1, num_hidden_layers=1)


def make_activations():
    """One checkpoint; config.<activation>.json and reference.<activation>.safetensors for every name BERT accepts."""
    folder = make("activations", hidden_size=12, num_attention_heads=2, num_hidden_layers=1, intermediate_size=19, vocab_size=31,
                  max_position_embeddings=10, references=False)
    for name in ACT2FN:
        if name not in WITH_PARAMETERS:
            config = transformers.BertConfig.from_pretrained(folder, hidden_act=name)
            config.to_json_file(folder / f"config.{name}.json", use_diff=False)
            reference(folder, (2, 7), label=name, config=config)


def make_layer_norm_eps():
    """Layer norms whose rows have a variance of about 1e-6, so that eps is seen. config.json has 1e-12, config.eps1e-5.json 1e-5."""
    def shrink(model):
        for name, parameter in model.named_parameters():
            if "embeddings.weight" in name or "LayerNorm" in name or "output.dense" in name:
                parameter.mul_(1e-3)

    folder = make("layerNormEps", (2, 9), alter=shrink)
    config = transformers.BertConfig.from_pretrained(folder, layer_norm_eps=1e-5)
    config.to_json_file(folder / "config.eps1e-5.json")
    reference(folder, (2, 9), label="eps1e-5", config=config)


def make_storage():
    """Half precision (references in float32 and float64 from those weights), shards, and a checkpoint without a pooler."""
    make("float16", (2, 9), num_hidden_layers=1, dtype=torch.float16)
    make("bfloat16", (2, 9), num_hidden_layers=1, dtype=torch.bfloat16)
    make("sharded", (2, 9), save_options=dict(max_shard_size="12KB"))
    make("noPooler", (2, 9), num_hidden_layers=1, model_options=dict(add_pooling_layer=False))


def make_pretraining():
    """The heads of pre-training, tied and untied, and the oldest layout: gamma and beta, a position_ids buffer, no decoder.weight."""
    def old_names(folder):
        path = folder / "model.safetensors"
        tensors = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t for k, t in load_file(path).items()}
        tensors = {k: t for k, t in tensors.items() if "predictions.decoder" not in k}
        tensors["bert.embeddings.position_ids"] = torch.arange(BERT["max_position_embeddings"])[None]
        save_file(tensors, path, metadata={"format": "pt"})

    folder = make("oldKeyNames", (2, 9), "BertForPreTraining", num_hidden_layers=1, labels=True, edit=old_names)
    reference(folder, (2, 9), label="BertModel", class_name="BertModel")
    make("maskedLanguageModel", (2, 9), "BertForMaskedLM", num_hidden_layers=1, labels=True)
    make("untied", (2, 9), "BertForPreTraining", num_hidden_layers=1, labels=True, tie_word_embeddings=False)


def make_heads():
    options = dict(shape=(3, 9), num_hidden_layers=1, labels=True)
    make("sequenceClassification", class_name="BertForSequenceClassification", num_labels=3, **options)
    make("tokenClassification", class_name="BertForTokenClassification", num_labels=5, variants=("", "holes"), **options)
    make("questionAnswering", class_name="BertForQuestionAnswering", **options)
    make("nextSentencePrediction", class_name="BertForNextSentencePrediction", **options)
    make("multipleChoice", class_name="BertForMultipleChoice", **{**options, "shape": (2, 4, 9)})


MODELS = {
    "base": make_base,
    "masks": make_masks,
    "sizes": make_sizes,
    "activations": make_activations,
    "layerNormEps": make_layer_norm_eps,
    "storage": make_storage,
    "pretraining": make_pretraining,
    "heads": make_heads,
}


# --- the real model -----------------------------------------------------------------------------------------------------------------

MINILM_STATES = [  # short, so that every hidden state and attention fits
    "How do I bake bread without yeast?",
    ("Zoë's naïve café, 12.5 €", "a crêpe"),
    "我爱北京 👩‍🚀 🎉 tōkyō",
]
MINILM_LONG = (
    "The committee, which had met eleven times since the previous autumn, concluded on 3 March 1998 that neither of the two bridges could "
    "be repaired for less than $4.7 million; it therefore recommended (by seven votes to five) that traffic be diverted to the unfinished "
    "motorway, although several engineers disagreed."
)
MINILM_EMBEDDINGS = [
    *MINILM_STATES,
    MINILM_LONG,
    "",
    "yes",
    "Antidisestablishmentarianism, pneumonoultramicroscopicsilicovolcanoconiosis!",
    "def embed(text: str) -> list[float]:\n\treturn model(text)[0]  # TODO",
    "Привет, мир! Γειά σου Κόσμε, שלום עולם, مرحبا بالعالم",
    "A man is playing a guitar .",
    "Nobody is playing the guitar .",
]


def make_minilm(folder):
    """reference: three texts, everything. reference.long: one long text, without attentions. reference.embeddings: eleven texts, pooled only."""
    cases = {
        "": (MINILM_STATES, lambda name: True),
        ".long": ([MINILM_LONG], lambda name: not name.startswith(("attentions", "last"))),
        ".embeddings": (MINILM_EMBEDDINGS, lambda name: not name.startswith(("attentions", "hidden", "last"))),
    }
    for dtype, end in (("float32", ""), ("float64", ".f64")):
        model = capture.load_model(folder, dtype=dtype)
        for case, (texts, wanted) in cases.items():
            tensors = capture.run(model, capture.inputs_from_texts(folder, texts), sentence_folder=folder)
            tensors = {name: tensor for name, tensor in tensors.items() if wanted(name)}
            capture.save(FIXTURES / "minilm" / f"reference{case}{end}.safetensors", tensors, model, texts=json.dumps(texts, ensure_ascii=False))


# --- operations --------------------------------------------------------------------------------------------------------------------


def make_ops():
    generator = torch.Generator().manual_seed(SEED)
    randn = lambda *shape: torch.randn(shape, generator=generator)
    tensors = {}

    def both(case, function, *inputs):
        """The result in float32 and, from the same float32 inputs, in float64."""
        tensors[f"{case}.f32"] = function(*inputs)
        tensors[f"{case}.f64"] = function(*(x.double() if x.is_floating_point() else x for x in inputs))

    special = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 1e-8, -1e-8, 1e-4, -1e-4, 3.8325, 5.9, -5.9, 6.0, -6.0, 20.0, -20.0])
    x = tensors["erf.x"] = torch.cat([torch.linspace(-6, 6, 601), special, torch.tensor([30.0, -30.0, 1e30, -1e30, torch.inf, -torch.inf])])
    both("erf.y", torch.erf, x)
    exponents = torch.arange(-300, 3, 2, dtype=torch.float64)
    wide = torch.cat([10**exponents, -(10**exponents), torch.linspace(-6.1, 6.1, 400, dtype=torch.float64)])
    tensors["erf.wide.x"], tensors["erf.wide.y.f64"] = wide, torch.erf(wide)

    x = tensors["act.x"] = torch.cat([torch.linspace(-9, 9, 181), special, torch.tensor([60.0, -60.0])])
    for name in ACT2FN:
        if name not in WITH_PARAMETERS:
            both(f"act.{name}.y", ACT2FN[name], x)

    x = 3 * randn(6, 13)
    x[1] *= 100
    x[2] = 0.7
    x[3, 5] = 500
    x[4, 7:] += torch.finfo(torch.float32).min
    tensors["softmax.x"] = x
    both("softmax.y", lambda x: x.softmax(-1), x)

    x = randn(6, 24)
    x[1] *= 1e-3
    x[2] += 100
    x[3] = 0.25
    x[4] *= 1e4
    x[5] = x[5] * 1e-3 + 0.05
    weight, bias = 1 + 0.3 * randn(24), 0.3 * randn(24)
    tensors.update({"layer_norm.x": x, "layer_norm.weight": weight, "layer_norm.bias": bias})
    for eps in ("1e-12", "1e-5"):
        both(f"layer_norm.eps{eps}.y", lambda x, w, b: F.layer_norm(x, (24,), w, b, float(eps)), x, weight, bias)

    x, weight, bias = randn(5, 24), randn(37, 24), randn(37)
    tensors.update({"linear.x": x, "linear.weight": weight, "linear.bias": bias})
    both("linear.y", F.linear, x, weight, bias)
    both("linear.no_bias.y", F.linear, x, weight)
    a, b = randn(7, 19), randn(19, 11)
    tensors.update({"matmul.a": a, "matmul.b": b})
    both("matmul.y", torch.matmul, a, b)

    ids, weight = torch.randint(0, 17, (9,), generator=generator), randn(17, 10)
    tensors.update({"embedding.ids": ids, "embedding.weight": weight})
    both("embedding.y", F.embedding, ids, weight)

    lengths, heads, hidden = [1, 4, 13, 2, 7], 3, 15
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    q, k, v = (1.5 * randn(offsets[-1], hidden) for _ in range(3))
    tensors.update({"attention.q": q, "attention.k": k, "attention.v": v, "attention.offsets": offsets})

    def probabilities(q, k, i):
        q, k = (t[offsets[i] : offsets[i + 1]].reshape(-1, heads, hidden // heads).transpose(0, 1) for t in (q, k))
        return (q @ k.transpose(1, 2) * (hidden // heads) ** -0.5).softmax(-1)

    def attention(q, k, v):
        parts = []
        for i, length in enumerate(lengths):
            values = v[offsets[i] : offsets[i + 1]].reshape(length, heads, hidden // heads).transpose(0, 1)
            parts.append((probabilities(q, k, i) @ values).transpose(0, 1).reshape(length, hidden))
        return torch.cat(parts)

    both("attention.y", attention, q, k, v)
    for i in range(len(lengths)):
        both(f"attention.{i}.probabilities", lambda q, k: probabilities(q, k, i), q, k)

    x = tensors["pooling.x"] = randn(offsets[-1], 10)
    tensors["pooling.offsets"] = offsets.clone()
    rows = lambda reduce: lambda x: torch.stack([reduce(x[offsets[i] : offsets[i + 1]]) for i in range(len(lengths))])
    mean = rows(lambda t: t.mean(0))
    both("pooling.mean.y", mean, x)
    both("pooling.max.y", rows(lambda t: t.amax(0)), x)
    both("pooling.cls.y", rows(lambda t: t[0]), x)
    both("pooling.normalized_mean.y", lambda x: F.normalize(mean(x), dim=-1), x)

    bad = [name for name, t in tensors.items() if name != "erf.x" and not torch.isfinite(t).all()]
    assert not bad, bad
    metadata = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__, "seed": str(SEED), "attention.heads": "3"}
    save_file({name: t.clone().contiguous() for name, t in tensors.items()}, FIXTURES / "ops.safetensors", metadata=metadata)


# --- main --------------------------------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of ops, minilm, {', '.join(MODELS)}; default: all but minilm")
    parser.add_argument("--minilm", metavar="FOLDER", default="weights/original/all-MiniLM-L6-v2", help="default: %(default)s")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    makers = {**MODELS, "ops": make_ops, "minilm": lambda: make_minilm(arguments.minilm)}
    for name in arguments.names or [*MODELS, "ops"]:
        makers[name]()
        print(name)


if __name__ == "__main__":
    main()
