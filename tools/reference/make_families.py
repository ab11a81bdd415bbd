"""Makes tests/fixtures/families: for each family one small random checkpoint that holds the weights of all its classes, and what PyTorch
computes for each class.

    python make_families.py                every family
    python make_families.py roberta        only this one

families/<name>/ holds model.safetensors, and for each class of transformers config.<class>.json, reference.<class>.safetensors (float32)
and reference.<class>.f64.safetensors. The encoder's are there for other inputs too (float32): reference.<class>.left.…, .holes.…,
.positions.…; it has every hidden state and attention and (unnamed inputs) every module's output; a class with a head only what comes after
its encoder. Where two classes have different weights of one name, those of the second are in weights.<class>.safetensors.
Among the ids are the padding token's, masked and not, and others under the mask: families differ in what they make of those.
"""

import argparse
import json
import shutil
import sys
import zlib

import capture
import torch
import transformers
from make_fixtures import BERT, FIXTURES, SEED
from safetensors.torch import save_file

HEADS = ("MaskedLM", "SequenceClassification", "TokenClassification", "QuestionAnswering", "MultipleChoice")
LABELS = {"SequenceClassification": 3, "TokenClassification": 5}
DISTILBERT = dict(vocab_size=61, dim=24, n_layers=2, n_heads=3, hidden_dim=37, max_position_embeddings=40)

PLAIN = {name: value for name, value in BERT.items() if name != "type_vocab_size"}
RELATIVE = dict(relative_attention=True, pos_att_type=["c2p", "p2c"], layer_norm_eps=1e-7, pad_token_id=0)
MODERN = dict(
    vocab_size=61, hidden_size=24, num_hidden_layers=3, num_attention_heads=3, intermediate_size=36, max_position_embeddings=40,
    local_attention=4, pad_token_id=0, bos_token_id=1, cls_token_id=1, eos_token_id=2, sep_token_id=2,
)

FAMILIES = {  # folder: prefixes of the classes, options of their config, more classes than HEADS, inputs (and, if not HEADS, heads)
    "roberta": (("Roberta",), BERT | dict(pad_token_id=1), (), {}),
    "xlmRoberta": (("XLMRoberta",), BERT | dict(pad_token_id=1, type_vocab_size=1, vocab_size=67, num_attention_heads=4), (), {}),
    "camembert": (("Camembert",), BERT | dict(pad_token_id=1, type_vocab_size=1, hidden_act="relu", layer_norm_eps=1e-5, vocab_size=53), (), {}),
    "distilbert": (("DistilBert",), DISTILBERT, (), {}),
    "albert": (
        ("Albert",),
        BERT | dict(embedding_size=14, num_hidden_layers=3, num_hidden_groups=2, inner_group_num=2, hidden_act="gelu_new"),
        ("PreTraining",),
        dict(shape=(2, 9)),
    ),
    "mpnet": (("MPNet",), PLAIN | dict(pad_token_id=1), (), dict(shape=(3, 20))),
    "deberta": (
        ("Deberta",),
        PLAIN | RELATIVE | dict(max_relative_positions=5, position_biased_input=False, type_vocab_size=0),
        (),
        dict(heads=HEADS[:4]),
    ),
    "debertaTalkingHeads": (  # and embeddings of another size
        ("Deberta",),
        PLAIN | RELATIVE | dict(max_relative_positions=5, type_vocab_size=2, talking_head=True, embedding_size=14, legacy=True),
        (),
        dict(heads=("MaskedLM",), variants=("", "holes")),
    ),
    "debertaV2": (  # as the third version
        ("DebertaV2",),
        PLAIN | RELATIVE | dict(max_relative_positions=-1, position_buckets=4, share_att_key=True, norm_rel_ebd="layer_norm",
                                position_biased_input=False, type_vocab_size=0),
        (),
        dict(shape=(3, 11)),
    ),
    "debertaV2Convolution": (  # as the largest of the second, and a little of everything else
        ("DebertaV2",),
        PLAIN | RELATIVE | dict(max_relative_positions=6, conv_kernel_size=3, conv_groups=2, conv_act="gelu", type_vocab_size=2, legacy=False,
                                pooler_hidden_act="tanh"),
        (),
        dict(heads=("MaskedLM", "SequenceClassification")),
    ),
    "modernBert": (("ModernBert",), MODERN, (), {}),
    "modernBertBiases": (
        ("ModernBert",),
        MODERN | dict(norm_bias=True, attention_bias=True, mlp_bias=True, classifier_bias=True, decoder_bias=False, classifier_pooling="mean",
                      layer_types=["sliding_attention", "full_attention", "sliding_attention"], hidden_activation="gelu_new",
                      rope_parameters={"full_attention": {"rope_theta": 30.0, "rope_type": "default"},
                                       "sliding_attention": {"rope_theta": 300.0, "rope_type": "default"}}),
        (),
        dict(heads=("MaskedLM", "SequenceClassification", "TokenClassification")),
    ),
    "nomicBert": (
        ("NomicBert",),
        PLAIN | dict(type_vocab_size=2, hidden_act="silu", rope_parameters={"rope_theta": 50.0, "rope_type": "default"}),
        (),
        dict(heads=HEADS[:3]),
    ),
    **{  # the ways in which rotary positions reach further
        f"rope{name}": (prefix, options | dict(rope_parameters=rope), (), dict(heads=(), shape=shape, variants=variants))
        for name, prefix, options, rope, shape, variants in [
            ("Yarn", ("ModernBert",), MODERN, {
                "full_attention": dict(rope_type="yarn", rope_theta=30.0, factor=4.0, original_max_position_embeddings=16, beta_fast=2.0, beta_slow=0.1),
                "sliding_attention": dict(rope_type="linear", rope_theta=300.0, factor=2.5)}, (3, 9), ("", "holes")),
            ("Llama3", ("ModernBert",), MODERN, {
                "full_attention": dict(rope_type="llama3", rope_theta=30.0, factor=4.0, original_max_position_embeddings=12, low_freq_factor=1.0,
                                       high_freq_factor=4.0),
                "sliding_attention": dict(rope_type="proportional", rope_theta=300.0, partial_rotary_factor=0.5, factor=1.5)}, (3, 9), ("",)),
            ("Dynamic", ("NomicBert",), PLAIN | dict(type_vocab_size=2, hidden_act="silu", max_position_embeddings=6, head_dim=6),
             dict(rope_type="dynamic", rope_theta=50.0, factor=3.0), (1, 14), ("full",)),
            ("LongRope", ("NomicBert",), PLAIN | dict(type_vocab_size=2, hidden_act="silu"),
             dict(rope_type="longrope", rope_theta=50.0, factor=3.0, original_max_position_embeddings=8, short_factor=[1.0, 1.1, 1.3, 1.2],
                  long_factor=[1.0, 2.0, 3.5, 5.0]), (1, 14), ("full",)),
        ]
    },
    "electraSummary": (("Electra",), BERT | dict(embedding_size=24, summary_type="mean", summary_use_proj=False, summary_activation="gelu"), (),
                       dict(heads=("MultipleChoice",), mask="full", model=False)),
    "electraSummaryLast": (("Electra",), BERT | dict(embedding_size=24, summary_type="last", summary_activation="tanh"), (),
                           dict(heads=("MultipleChoice",), mask="full", model=False)),
    "electra": (("Electra",), BERT | dict(embedding_size=14, hidden_act="relu"), ("PreTraining",), {}),
}


def parameters(model):
    """Every parameter once, tied ones under the embeddings' name; a bare encoder's as in a model with a head."""
    prefix = "" if hasattr(model, model.base_model_prefix) else f"{model.base_model_prefix}."
    names = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if parameter not in names or "embeddings" in name:
            names[parameter] = prefix + name
    return [(name, parameter) for parameter, name in names.items()]


def randomize(model):
    """As make_fixtures, but each tensor drawn by its name alone: what two classes share is the same in both."""
    for name, parameter in parameters(model):
        noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode()) + SEED))
        with torch.no_grad():
            if parameter.dim() == 1:
                parameter.copy_(1 + 0.3 * noise if "norm" in name.lower() and name.endswith("weight") else 0.3 * noise)
            elif name.endswith("embeddings.weight"):
                parameter.copy_(0.7 * noise)
            else:
                parameter.copy_(noise * 1.4 / parameter.shape[1] ** 0.5)
    return model


def make_model(class_name, options):
    model_class = getattr(transformers, class_name)
    ending = class_name.split("For")[1] if "For" in class_name else ""
    config = model_class.config_class(**options, num_labels=LABELS.get(ending, 2), architectures=[class_name])
    model = model_class._from_config(config, attn_implementation="eager")
    model.tie_weights()
    return randomize(model).eval()


def random_inputs(config, shape, seed):
    inputs = capture.random_inputs(config, shape, seed)
    ids, mask, padding = inputs["input_ids"], inputs["attention_mask"], config.pad_token_id
    if padding is not None:
        ids[(mask == 0) & (torch.arange(shape[-1]) % 2 == 0)] = padding
        ids[..., 3:4][mask[..., 3:4] == 1] = padding
    return inputs


def make(folder_name):
    prefixes, options, more, inputs = FAMILIES[folder_name]
    folder = FIXTURES / "families" / folder_name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    weights, seed, shape = {}, SEED, inputs.get("shape", (3, 9))
    for class_name in (f"{prefix}{ending}" for prefix in prefixes for ending in (*(f"For{head}" for head in (*inputs.get("heads", HEADS), *more)), "Model")[: None if inputs.get("model", True) else -1]):
        if not hasattr(transformers, class_name):
            sys.exit(f"transformers has no {class_name}")
        model = make_model(class_name, options)
        model.config.to_json_file(folder / f"config.{class_name}.json")
        stored = {name: p.detach().clone().contiguous() for name, p in parameters(model)}
        own = {name: t for name, t in stored.items() if name in weights and weights[name].shape != t.shape}
        assert all(torch.equal(weights[name], t) for name, t in stored.items() if name in weights and name not in own), class_name
        weights = stored | weights
        if own:
            save_file(own, folder / f"weights.{class_name}.safetensors", metadata={"format": "pt"})
        first = class_name.startswith(prefixes[0])
        variants = inputs.get("variants", ("", "left", "holes", "positions"))
        for variant in variants if class_name.endswith("Model") and first else (inputs.get("mask", ""),):
            reference(folder, model, (2, 4, shape[-1]) if class_name.endswith("MultipleChoice") else shape, seed, variant, first)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def reference(folder, model, shape, seed, variant, first):
    class_name = type(model).__name__
    encoder = not hasattr(model, model.base_model_prefix)
    inputs = random_inputs(model.config, shape, seed)
    if variant in ("left", "holes", "full"):
        capture.change_mask(inputs, variant, seed)
    if variant == "positions":
        inputs["position_ids"] = capture.random_positions(model.config, inputs, seed)
    variant = "" if variant == "full" else variant  # the only one there is
    for dtype, end in (("float32", ""), ("float64", ".f64"))[: 2 if first and not variant else 1]:
        model.to(capture.DTYPES[dtype])
        tensors = capture.run(model, inputs, activations=first and not variant and dtype == "float32")
        if not encoder:
            below = ("hidden_states.", "attentions.", f"activations.{model.base_model_prefix}.", f"activations.{model.base_model_prefix}")
            tensors = {name: t for name, t in tensors.items() if not name.startswith(below[:3]) and name != below[3]}
        suffix = f".{variant}" if variant else ""
        capture.save(folder / f"reference.{class_name}{suffix}{end}.safetensors", tensors, model, seed, model_type=model.config.model_type)
    model.to(torch.float32)


def make_defaults():
    """familyDefaults.json: what transformers' config classes default to. sinusoids.json: DistilBERT's untrained positions, [9, 24]."""
    prefixes = ["Bert", *(prefix for prefixes, *_ in FAMILIES.values() for prefix in prefixes)]
    configs = {f"{prefix}Config": getattr(transformers, f"{prefix}Config")().to_dict() for prefix in prefixes}
    (FIXTURES / "familyDefaults.json").write_text(json.dumps(configs, indent=1, sort_keys=True) + "\n")
    untrained = transformers.DistilBertModel(transformers.DistilBertConfig(**DISTILBERT | dict(max_position_embeddings=9), sinusoidal_pos_embds=True))
    (FIXTURES / "sinusoids.json").write_text(json.dumps(untrained.embeddings.position_embeddings.weight.tolist()) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(FAMILIES)}; default: all")
    torch.set_num_threads(1)
    for name in parser.parse_args().names or FAMILIES:
        make(name)
        print(name)
    make_defaults()


if __name__ == "__main__":
    main()
