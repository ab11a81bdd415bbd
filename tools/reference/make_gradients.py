"""Makes tests/fixtures/gradients: for families beyond BERT, tiny random models with a head, and what PyTorch's autograd computes for them.

    python make_gradients.py                             every class
    python make_gradients.py RobertaForMaskedLM          only this one

gradients/<class>/ holds config.json, model.safetensors and reference.f64.safetensors: inputs, labels, loss and grad.<parameter> in
float64, from the same float32 weights. BERT's own are with its other fixtures (make_fixtures.py).
"""

import argparse
import shutil

import capture
import torch
from make_families import FAMILIES, make_model, parameters, random_inputs
from make_fixtures import FIXTURES, SEED
from safetensors.torch import save_file

TINY = dict(vocab_size=19, hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=13, max_position_embeddings=14)
CLASSES = {  # class: folder of make_families whose options it takes, what else differs
    "RobertaForSequenceClassification": ("roberta", {}),
    "RobertaForMultipleChoice": ("roberta", {}),
    "DistilBertForTokenClassification": ("distilbert", dict(vocab_size=19, dim=12, n_heads=2, hidden_dim=13, max_position_embeddings=14)),
    "AlbertForPreTraining": ("albert", dict(embedding_size=7, num_hidden_layers=3, num_hidden_groups=1, inner_group_num=1)),
    "AlbertForQuestionAnswering": ("albert", dict(embedding_size=7)),
    "ElectraForQuestionAnswering": ("electra", dict(embedding_size=7)),
    "ElectraForSequenceClassification": ("electra", dict(embedding_size=7)),
    "MPNetForMaskedLM": ("mpnet", {}),
    "DebertaForMaskedLM": ("deberta", {}),
    "DebertaV2ForSequenceClassification": ("debertaV2", {}),
    "DebertaV2ForMaskedLM": ("debertaV2Convolution", {}),
    "ModernBertForMaskedLM": ("modernBert", dict(num_hidden_layers=3)),
    "ModernBertForTokenClassification": ("modernBertBiases", dict(num_hidden_layers=3)),
    "NomicBertForTokenClassification": ("nomicBert", {}),
    "NomicBertForMaskedLM": ("nomicBert", {}),
}


def make(class_name):
    family, more = CLASSES[class_name]
    options = FAMILIES[family][1] | ({} if family == "distilbert" else TINY) | more
    model = make_model(class_name, options)
    with torch.no_grad():  # at the weights of the other fixtures, float32 itself (PyTorch's) is 6e-6 from float64: too far to tell at 1e-6
        for _, parameter in parameters(model):
            if parameter.dim() > 1:
                parameter.mul_(0.5)
    folder = FIXTURES / "gradients" / class_name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.config.to_json_file(folder / "config.json")
    save_file({name: p.detach().clone().contiguous() for name, p in parameters(model)}, folder / "model.safetensors", metadata={"format": "pt"})
    shape = (2, 3, 7) if class_name.endswith("MultipleChoice") else (3, 9)
    inputs = random_inputs(model.config, shape, SEED)
    model.to(torch.float64)
    inputs.update(capture.random_labels(model, inputs, SEED))
    tensors = capture.run(model, inputs, grad=True)
    print(f"{class_name}: PyTorch's float32 is {distance(model, inputs, tensors):.1e} from its float64")
    kept = {name: t for name, t in tensors.items() if name in inputs or name == "loss" or name.startswith("grad.")}
    capture.save(folder / "reference.f64.safetensors", kept, model, SEED)


def distance(model, inputs, exact):
    """The greatest error of PyTorch's own float32, relative to each tensor's largest value: how well conditioned the case is."""
    model.to(torch.float32).zero_grad()
    rounded = capture.run(model, {name: t.float() if t.is_floating_point() else t for name, t in inputs.items()}, grad=True)
    largest = lambda name: exact[name].abs().max()
    errors = [((rounded[name] - exact[name]).abs().max() / largest(name)).item() for name in exact if name.startswith("grad.") and largest(name) > 1e-12]
    model.to(torch.float64)
    return max(errors)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(CLASSES)}; default: all")
    torch.set_num_threads(1)
    for name in parser.parse_args().names or CLASSES:
        make(name)


if __name__ == "__main__":
    main()
