"""Pretraining in PyTorch on the weights and batches that bench/pretraining.ts wrote: python bench/pretraining.py FOLDER [threads]"""

import json
import math
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

folder = Path(sys.argv[1])
torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
torch.manual_seed(0)
settings = json.loads((folder / "settings.json").read_text())
train, held = load_file(folder / "train.safetensors"), load_file(folder / "eval.safetensors")
model = transformers.BertForPreTraining.from_pretrained(folder, dtype=torch.float32)
optimizer = torch.optim.AdamW(model.parameters(), lr=settings["lr"], weight_decay=0.01)
total = settings["totalSteps"]
schedule = transformers.get_linear_schedule_with_warmup(optimizer, math.ceil(settings["warmupRatio"] * total), total)


def batch(tensors, i):
    used = tensors["next_sentence_label"][i] >= 0  # the last batch of an epoch has fewer examples
    return {name: tensor[i][used] for name, tensor in tensors.items()}


@torch.no_grad()
def evaluate():
    model.eval()
    sums = count = 0
    for i in range(len(held["labels"])):
        inputs = batch(held, i)
        labels = inputs["labels"]
        logits = model(**{k: inputs[k] for k in ("input_ids", "attention_mask", "token_type_ids")}).prediction_logits
        hidden = labels >= 0
        sums += torch.nn.functional.cross_entropy(logits[hidden], labels[hidden], reduction="sum").item()
        count += hidden.sum().item()
    model.train()
    return {"mlm_loss": sums / count, "perplexity": math.exp(sums / count)}


history = [{"epoch": 0, "step": 0, **evaluate()}]
per_epoch = total // settings["epochs"]
for i in range(total):
    loss = model(**batch(train, i)).loss
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    history.append({"step": i + 1, "loss": loss.item(), "lr": schedule.get_last_lr()[0]})
    if (i + 1) % per_epoch == 0:
        history.append({"epoch": (i + 1) // per_epoch, "step": i + 1, **evaluate()})
        print(history[-1], flush=True)
(folder / "pytorch.json").write_text(json.dumps(history))
