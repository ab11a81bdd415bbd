"""Makes tests/fixtures/training/: what PyTorch's optimizers, losses and a short training give.

    python training.py

optimizers.safetensors (F64)  a.0 [3,5], b.0 [4]: where each starts; grad.<step>.a, .b; <case>.<step>.a, .b: after each step. The cases are in the code.
losses.safetensors (F64)      <loss>.<input>, <loss>.value, <loss>.grad.<input>
run.safetensors               50 steps of AdamW on the fixture bert/sequenceClassification in float32: input_ids, attention_mask, labels of each
                              step [50, 4, …] (I64), losses [50], norms [50], and the weights it ends with, final.<parameter>
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification, get_scheduler

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.05),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.05),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.05),
    "adamw.excluded": lambda p: torch.optim.AdamW([{"params": p[:1]}, {"params": p[1:], "weight_decay": 0.0}], lr=0.1, weight_decay=0.05),
    "adamw.betas": lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.01),
}


def optimizers():
    generator = torch.Generator().manual_seed(5)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    start = {"a": draw(3, 5), "b": draw(4)}
    grads = [{"a": draw(3, 5), "b": draw(4)} for _ in range(6)]
    out = {f"{name}.0": x for name, x in start.items()}
    for step, pair in enumerate(grads, 1):
        out |= {f"grad.{step}.{name}": x for name, x in pair.items()}
    for case, make in OPTIMIZERS.items():
        parameters = {name: nn.Parameter(x.clone()) for name, x in start.items()}
        optimizer = make(list(parameters.values()))
        for step, pair in enumerate(grads, 1):
            for name, p in parameters.items():
                p.grad = pair[name].clone()
            optimizer.step()
            out |= {f"{case}.{step}.{name}": p.detach().clone() for name, p in parameters.items()}
    save_file(out, FIXTURES / "training" / "optimizers.safetensors")


def losses():
    generator = torch.Generator().manual_seed(6)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    out = {}

    def case(name, function, constants=(), **inputs):
        tensors = {key: x.clone().requires_grad_(key not in constants) for key, x in inputs.items()}
        value = function(**tensors)
        value.backward()
        for key, x in tensors.items():
            out[f"{name}.{key}"] = inputs[key]
            if x.grad is not None:
                out[f"{name}.grad.{key}"] = x.grad
        out[f"{name}.value"] = value.detach()

    case("bce", lambda x, y: F.binary_cross_entropy_with_logits(x, y), ("y",), x=10 * draw(4, 3), y=torch.rand(4, 3, generator=generator, dtype=torch.float64))
    case("mse", lambda x, y: F.mse_loss(x, y), ("y",), x=draw(5), y=draw(5))
    kl = lambda t: lambda x, y: F.kl_div(F.log_softmax(x / t, -1), F.softmax(y / t, -1), reduction="batchmean") * t**2
    case("kl", kl(1), ("y",), x=draw(4, 6), y=draw(4, 6))
    case("kl2", kl(2), ("y",), x=3 * draw(4, 6), y=3 * draw(4, 6))
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    case("cosine", lambda x, y: F.cosine_embedding_loss(x, y, torch.ones(4, dtype=torch.float64)), x=draw(4, 5), y=draw(4, 5))
    case("cosineSigned", lambda x, y, signs: F.cosine_embedding_loss(x, y, signs, margin=0.1), ("signs",), x=draw(4, 5), y=draw(4, 5), signs=signs)

    def ranking(x, y, z=None, scale=20):
        candidates = y if z is None else torch.cat([y, z])
        scores = scale * F.normalize(x, dim=-1) @ F.normalize(candidates, dim=-1).T
        return F.cross_entropy(scores, torch.arange(len(x)))

    case("ranking", ranking, x=draw(4, 5), y=draw(4, 5))
    case("rankingNegatives", ranking, x=draw(4, 5), y=draw(4, 5), z=draw(3, 5))
    case("triplet", lambda x, y, z: F.triplet_margin_loss(x, y, z, margin=1.0, eps=0.0), x=draw(6, 5), y=draw(6, 5), z=draw(6, 5))
    save_file({k: v.contiguous() for k, v in out.items()}, FIXTURES / "training" / "losses.safetensors")


def run():
    model = AutoModelForSequenceClassification.from_pretrained(FIXTURES / "bert" / "sequenceClassification", attn_implementation="eager")
    model.eval()  # no dropout
    generator = torch.Generator().manual_seed(7)
    steps, batch, width = 50, 4, 11
    ids = torch.randint(1, model.config.vocab_size, (steps, batch, width), generator=generator)
    lengths = torch.randint(3, width + 1, (steps, batch, 1), generator=generator)
    mask = (torch.arange(width) < lengths).long()
    labels = torch.randint(0, model.config.num_labels, (steps, batch), generator=generator)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    scheduler = get_scheduler("linear", optimizer, num_warmup_steps=5, num_training_steps=steps)
    values, norms = [], []
    for step in range(steps):
        optimizer.zero_grad()
        loss = model(input_ids=ids[step], attention_mask=mask[step], labels=labels[step]).loss
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        optimizer.step()
        scheduler.step()
        values.append(loss.item())
    final = {f"final.{name}": p.detach() for name, p in model.named_parameters()}
    out = {"input_ids": ids, "attention_mask": mask, "labels": labels, "losses": torch.tensor(values), "norms": torch.tensor(norms), **final}
    save_file({k: v.contiguous() for k, v in out.items()}, FIXTURES / "training" / "run.safetensors")
    print(values[0], values[-1])


(FIXTURES / "training").mkdir(exist_ok=True)
optimizers()
losses()
run()
