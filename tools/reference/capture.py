"""Writes a reference file: what PyTorch computes for a Hugging Face model folder, tensor by tensor.

    python capture.py MODEL --text "Hello world" --pair "A man" "A woman" --output reference.safetensors
    python capture.py MODEL --random 3,11 --mask holes --seed 7 --dtype float64 --output reference.f64.safetensors
    python capture.py MODEL --inputs reference.safetensors --dtype float64 --activations --output again.safetensors

MODEL holds config.json and safetensors; the class comes from its `architectures` (or --class), so any encoder family works.
Weights are read into float32 whatever their stored dtype, then widened for --dtype float64. Everything runs in eval mode
(no dropout) on one thread, with eager attention so that attention probabilities exist.

The file is safetensors. Inputs: input_ids, attention_mask, token_type_ids (where the family has them), position_ids and labels if
given, all I64 [B,S] (multiple choice [B,C,S]). Outputs: every tensor of the model's output under its Hugging Face name
(last_hidden_state, pooler_output, logits, prediction_logits, loss ...), hidden_states.0..L, attentions.0..L-1, and if asked for
activations.<module name> (the first tensor a module returns; Dropout, which does nothing here, left out; the second
call of a shared module is activations.<name>@1), grad.<parameter name>, sentence_embedding. Values at padded positions mean nothing.
What hangs on column 0 (pooler_output, pooled logits) is left out when some row has that column masked.
"""

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()

INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
LABEL_NAMES = ("labels", "next_sentence_label", "sentence_order_label", "start_positions", "end_positions")
DTYPES = {"float32": torch.float32, "float64": torch.float64}


def load_model(folder, class_name=None, dtype="float32", config=None):
    """The model in eval mode. A weight missing from the checkpoint would be random, so it is an error; only a pooler may be absent."""
    config = config or transformers.AutoConfig.from_pretrained(folder)
    model_class = getattr(transformers, class_name or (config.architectures or ["AutoModel"])[0])
    options = dict(config=config, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    model, info = model_class.from_pretrained(folder, **options)
    if info["missing_keys"] and all("pooler." in key for key in info["missing_keys"]):
        model, info = model_class.from_pretrained(folder, add_pooling_layer=False, **options)
    if info["missing_keys"]:
        sys.exit(f"{folder}: no weights for {sorted(info['missing_keys'])} of {model_class.__name__}")
    return model.to(DTYPES[dtype]).eval()


def inputs_from_texts(folder, texts, max_length=None):
    """texts: strings or (first, second) pairs, padded on the right to the longest."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.padding_side = "right"
    rows = [tokenizer(*(text if isinstance(text, (list, tuple)) else [text]),
                      truncation=max_length is not None, max_length=max_length) for text in texts]
    return dict(tokenizer.pad(rows, padding="longest", return_tensors="pt"))


def random_inputs(config, shape, seed):
    """Random ids [B,S] or [B,C,S], random token types, rows of mixed length: the first is full, the last of three or more has one token."""
    generator = torch.Generator().manual_seed(seed)
    length = shape[-1]
    rows = torch.Size(shape[:-1])
    ids = torch.randint(0, config.vocab_size, shape, generator=generator)
    lengths = torch.randint(2, length + 1, (rows.numel(),), generator=generator)
    lengths[0] = length
    lengths[max(2, len(lengths) - 1):] = 1
    mask = (torch.arange(length) < lengths[:, None]).long().reshape(shape)
    inputs = {"input_ids": ids, "attention_mask": mask}
    types = getattr(config, "type_vocab_size", 0)
    if types > 0:
        inputs["token_type_ids"] = torch.randint(0, types, shape, generator=generator)
    return inputs


def change_mask(inputs, mask, seed):
    """right: as it is. full: every token attended. left: each row's tokens moved to the end. holes: some tokens after the first masked."""
    attention_mask = inputs["attention_mask"]
    if mask == "full":
        inputs["attention_mask"] = torch.ones_like(attention_mask)
    elif mask == "left":
        order = torch.argsort(attention_mask, dim=-1, stable=True)  # padding first, everything else in its old order
        for name in INPUT_NAMES[:3]:
            if name in inputs:
                inputs[name] = inputs[name].gather(-1, order)
    elif mask == "holes":
        keep = torch.rand(attention_mask.shape, generator=torch.Generator().manual_seed(seed)) > 0.35
        keep[..., 0] = True
        inputs["attention_mask"] = attention_mask * keep


def random_positions(config, inputs, seed):
    """Position ids in no order, repeats allowed, from the whole position table."""
    shape = inputs["input_ids"].shape
    return torch.randint(0, config.max_position_embeddings, shape, generator=torch.Generator().manual_seed(seed))


def random_labels(model, inputs, seed):
    """Labels of the shape the model's class wants; token labels are -100 (ignored) at padding and at about half of the tokens."""
    generator = torch.Generator().manual_seed(seed)
    shape, mask, config, name = inputs["input_ids"].shape, inputs["attention_mask"], model.config, type(model).__name__
    draw = lambda high, size: torch.randint(0, high, size, generator=generator)
    per_token = lambda high: torch.where((mask == 1) & (torch.rand(shape, generator=generator) < 0.5), draw(high, shape), -100)
    if name.endswith("ForPreTraining"):
        second = "sentence_order_label" if "Albert" in name else "next_sentence_label"
        return {"labels": per_token(config.vocab_size), second: draw(2, shape[:1])}
    if name.endswith("ForMaskedLM"):
        return {"labels": per_token(config.vocab_size)}
    if name.endswith("ForTokenClassification"):
        return {"labels": per_token(config.num_labels)}
    if name.endswith("ForQuestionAnswering"):
        return {end: (torch.rand(shape[0], generator=generator) * mask.sum(-1)).long() for end in LABEL_NAMES[3:]}
    if name.endswith("ForMultipleChoice"):
        return {"labels": draw(shape[1], shape[:1])}
    if name.endswith("ForSequenceClassification") and config.num_labels == 1:
        return {"labels": torch.rand(shape[0], generator=generator).to(model.dtype)}
    if name.endswith(("ForSequenceClassification", "ForNextSentencePrediction")):
        return {"labels": draw(getattr(config, "num_labels", 2), shape[:1])}
    sys.exit(f"{name} has no loss")


def hook_activations(model, into):
    """Stores the first tensor that each named module returns."""
    def hook(name):
        def store(module, arguments, output):
            while not isinstance(output, torch.Tensor):
                if output is None or len(output) == 0:
                    return
                output = output[0]
            key, calls = f"activations.{name}", sum(k.split("@")[0] == f"activations.{name}" for k in into)
            into[key if calls == 0 else f"{key}@{calls}"] = output
        return store
    modules = [(name, module) for name, module in model.named_modules() if name and not isinstance(module, torch.nn.Dropout)]
    return [module.register_forward_hook(hook(name)) for name, module in modules]


@contextlib.contextmanager
def precision_of(model):
    """Whatever is made on the way is made in the model's dtype: float64 means float64 throughout."""
    softmax, to_float, float32 = torch.nn.functional.softmax, torch.Tensor.float, torch.float32
    torch.set_default_dtype(model.dtype)  # constants (mask values, zeros)
    if model.dtype == torch.float64:  # some families ask for float32 inside their attention, norms and rotations
        torch.nn.functional.softmax = lambda x, dim=None, dtype=None, **rest: softmax(x, dim=dim)
        torch.Tensor.float, torch.float, torch.float32 = torch.Tensor.double, torch.float64, torch.float64
        widen_rotations(model)
    try:
        yield
    finally:
        torch.set_default_dtype(float32)
        torch.nn.functional.softmax, torch.Tensor.float, torch.float, torch.float32 = softmax, to_float, float32, float32


def run(model, inputs, activations=False, grad=False, sentence_folder=None):
    """The inputs and every output of one forward pass (and, with grad, of the backward pass of its loss), by reference-file name."""
    torch.set_num_threads(1)
    wide = model.dtype == torch.float64
    captured = {}
    precision = contextlib.ExitStack()
    precision.enter_context(precision_of(model))
    handles = hook_activations(model, captured) if activations else []
    try:
        with torch.set_grad_enabled(grad):
            output = model(**inputs, output_hidden_states=True, output_attentions=True, return_dict=True)
        tensors = {}
        for name, value in output.items():
            if isinstance(value, torch.Tensor):
                tensors[name] = value
            elif isinstance(value, tuple) and name in ("hidden_states", "attentions"):
                tensors.update({f"{name}.{i}": tensor for i, tensor in enumerate(value)})
        tensors.update(captured)
        if tensors.get("start_logits") is not None and "start_positions" in inputs:
            tensors["loss"] = question_answering_loss(output, inputs)
        if grad:
            if tensors.get("loss") is None:
                sys.exit("--grad needs labels")
            tensors["loss"].backward()
            tensors.update({f"grad.{name}": p.grad for name, p in model.named_parameters() if p.grad is not None})
        if sentence_folder:
            tensors["sentence_embedding"] = sentence_embedding(sentence_folder, output.last_hidden_state, inputs["attention_mask"])
    finally:
        precision.close()
        for handle in handles:
            handle.remove()
    tensors = drop_pooled_at_masked_column(tensors, inputs)
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            sys.exit(f"{name} is not finite")
        if wide and tensor.is_floating_point() and tensor.dtype != torch.float64:
            sys.exit(f"{name} was computed in {tensor.dtype}, not float64")
    # clone: tied or repeated tensors may not share storage in a safetensors file
    return {name: t.detach().clone().contiguous() for name, t in {**inputs, **tensors}.items()}


def widen_rotations(model):
    """Frequencies of rotary positions were computed in float32 when the model was made."""
    for module in model.modules():
        if hasattr(module, "compute_default_rope_parameters"):
            module.max_seq_len_cached = module.original_max_seq_len  # as if no longer text had been seen
            for name in [name for name in vars(module) if name.endswith("long_inv_freq")]:
                delattr(module, name)
            for name, buffer in module.named_buffers():
                kind = name.removesuffix("inv_freq").removesuffix("original_").strip("_")
                rope = module.rope_type[kind] if kind else module.rope_type
                compute = module.compute_default_rope_parameters if rope == "default" else ROPE_INIT_FUNCTIONS[rope]
                buffer.copy_(compute(module.config, device=buffer.device, **({"layer_type": kind} if kind else {}))[0])


def question_answering_loss(output, inputs):
    """transformers lets padding compete with the answer, so that a row's loss depends on the batch around it; here it does not."""
    masked = lambda logits: logits.masked_fill(inputs["attention_mask"] == 0, -torch.inf)
    loss = lambda end: torch.nn.functional.cross_entropy(masked(output[f"{end}_logits"]), inputs[f"{end}_positions"])
    return (loss("start") + loss("end")) / 2


def drop_pooled_at_masked_column(tensors, inputs):
    """With column 0 masked, Hugging Face pools a padding position: such results mean nothing."""
    if inputs["attention_mask"][..., 0].all():
        return tensors
    batch, length = inputs["input_ids"].shape
    per_token = lambda name, t: name.startswith(("attentions.", "grad.", "sentence_")) or t.shape[:2] == (batch, length)
    dropped = [name for name, t in tensors.items() if not per_token(name, t)]
    if dropped:
        print(f"left out, column 0 is masked: {', '.join(dropped)}", file=sys.stderr)
    return {name: t for name, t in tensors.items() if name not in dropped}


def sentence_embedding(folder, token_embeddings, attention_mask):
    """sentence-transformers' own modules after the transformer (modules.json: pooling, dense, normalize)."""
    from sentence_transformers import SentenceTransformer

    features = {"token_embeddings": token_embeddings, "attention_mask": attention_mask}
    for module in list(SentenceTransformer(str(folder), device="cpu"))[1:]:
        features = module.to(token_embeddings.dtype)(features)
    return features["sentence_embedding"]


def save(path, tensors, model, seed=None, **more):
    metadata = {
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
        "class": type(model).__name__,
        "dtype": str(model.dtype).removeprefix("torch."),
        "attn_implementation": model.config._attn_implementation,
        **({} if seed is None else {"seed": str(seed)}),
        **more,
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata=metadata)


def read_texts(path):
    """.jsonl: strings or {"text", "text_pair"?}; anything else: a text per line."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    if not str(path).endswith(".jsonl"):
        return lines
    rows = [json.loads(line) for line in lines if line.strip()]
    return [r if isinstance(r, str) else (r["text"], r["text_pair"]) if "text_pair" in r else r["text"] for r in rows]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder with config.json, safetensors and (for texts) a tokenizer")
    parser.add_argument("--output", required=True, help="the reference file to write")
    parser.add_argument("--class", dest="class_name", help="a transformers class, instead of `architectures` in config.json")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--text", action="append", default=[], help="may be repeated")
    parser.add_argument("--pair", action="append", default=[], nargs=2, metavar=("TEXT", "TEXT_PAIR"), help="may be repeated")
    parser.add_argument("--input", help="texts: .txt a line each, .jsonl")
    parser.add_argument("--max-length", type=int, help="truncate texts to this many tokens")
    parser.add_argument("--inputs", help="take the inputs (and labels) of this reference file")
    parser.add_argument("--random", metavar="B,S", help="random ids; B,C,S for multiple choice")
    parser.add_argument("--seed", type=int, default=0, help="of everything random here")
    parser.add_argument("--mask", choices=("right", "left", "holes", "full"), default="right")
    parser.add_argument("--token-types", choices=("keep", "zero", "random"), default="keep")
    parser.add_argument("--positions", action="store_true", help="add random position_ids")
    parser.add_argument("--labels", action="store_true", help="add random labels, so that there is a loss")
    parser.add_argument("--activations", action="store_true", help="every named module's output")
    parser.add_argument("--grad", action="store_true", help="gradient of the loss for every parameter")
    parser.add_argument("--sentence-embedding", action="store_true", help="through the folder's modules.json")
    return parser.parse_args()


def main():
    a = parse_arguments()
    model = load_model(a.model, a.class_name, a.dtype)
    texts = a.text + [tuple(pair) for pair in a.pair] + (read_texts(a.input) if a.input else [])
    if sum((bool(texts), a.inputs is not None, a.random is not None)) != 1:
        sys.exit("give exactly one kind of input: texts (--text, --pair, --input), --inputs or --random")
    if texts:
        inputs = inputs_from_texts(a.model, texts, a.max_length)
    elif a.inputs:
        inputs = {name: t for name, t in load_file(a.inputs).items() if name in INPUT_NAMES + LABEL_NAMES}
        inputs = {name: t.to(model.dtype) if t.is_floating_point() else t for name, t in inputs.items()}
    else:
        inputs = random_inputs(model.config, [int(n) for n in a.random.split(",")], a.seed)
    change_mask(inputs, a.mask, a.seed)
    if a.token_types == "zero":
        inputs["token_type_ids"] = torch.zeros_like(inputs["input_ids"])
    elif a.token_types == "random":
        inputs["token_type_ids"] = torch.randint(0, model.config.type_vocab_size, inputs["input_ids"].shape,
                                                 generator=torch.Generator().manual_seed(a.seed))
    if a.positions:
        inputs["position_ids"] = random_positions(model.config, inputs, a.seed)
    if a.labels:
        inputs.update(random_labels(model, inputs, a.seed))
    tensors = run(model, inputs, a.activations, a.grad, a.model if a.sentence_embedding else None)
    more = {"texts": json.dumps(texts, ensure_ascii=False)} if texts else {}
    if a.inputs:  # where its inputs came from goes along
        with safe_open(a.inputs, "pt") as file:
            more = {k: v for k, v in (file.metadata() or {}).items() if k in ("texts", "seed")}
    save(a.output, tensors, model, more.pop("seed", a.seed), **more)


if __name__ == "__main__":
    main()
