"""PEFT as the oracle for LoRA adapters.

    python adapters.py                          makes tests/fixtures/adapters/: an adapter of PEFT's for bert/sequenceClassification, with logits
    python adapters.py check BASE ADAPTER OUT   loads an adapter that was saved here with transformers and PEFT, and writes logits of some ids to OUT (JSON)
    python adapters.py compare BASE ADAPTER MERGED   BASE (float32) with an adapter in PEFT, and the model merged here in transformers, against our numbers: <= 1e-5 of the largest
"""

import json
import subprocess
import sys
from pathlib import Path

import peft
import torch
from safetensors.torch import save_file
import transformers
from transformers import AutoModelForSequenceClassification

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
BASE = FIXTURES / "bert" / "sequenceClassification"
IDS = torch.tensor([[2, 7, 9, 30, 3], [2, 11, 12, 13, 3]])


def logits(model):
    model.eval()
    with torch.no_grad():
        return model(input_ids=IDS).logits


def make():
    torch.manual_seed(3)
    base = AutoModelForSequenceClassification.from_pretrained(BASE)
    plain = logits(base)
    config = peft.LoraConfig(task_type="SEQ_CLS", r=3, lora_alpha=7, target_modules=["query", "value", "output.dense"], lora_dropout=0.1)
    model = peft.get_peft_model(base, config)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    folder = FIXTURES / "adapters" / "peft"
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    out = {"input_ids": IDS, "logits": logits(model), "plain": plain}
    save_file({k: v.contiguous() for k, v in out.items()}, FIXTURES / "adapters" / "logits.safetensors", {"peft": peft.__version__, "torch": torch.__version__})
    print(out["logits"], plain)


def check(base, adapter, out):
    labels = len(json.loads(Path(adapter, "config.json").read_text())["id2label"])
    model = peft.PeftModel.from_pretrained(AutoModelForSequenceClassification.from_pretrained(base, num_labels=labels), adapter)
    Path(out).write_text(json.dumps({"input_ids": IDS.tolist(), "logits": logits(model).tolist()}))


def compare(base, adapter, merged):
    """Loads what was saved here in Python; the numbers of both sides for the same ids."""
    root = Path(__file__).resolve().parents[2]
    ours = json.loads(subprocess.run(["npx", "tsx", "tools/adapter-outputs.ts", base, adapter, merged], cwd=root, check=True, capture_output=True).stdout)
    head = json.loads(Path(adapter, "config.json").read_text())
    kind = getattr(transformers, head["architectures"][0])
    config = transformers.AutoConfig.from_pretrained(base)
    config.id2label = {int(i): label for i, label in head["id2label"].items()}
    beside = peft.PeftModel.from_pretrained(kind.from_pretrained(base, config=config), adapter)
    ids = torch.tensor(ours["ids"])
    worst = 0
    for name, model in (("beside", beside), ("merged", kind.from_pretrained(merged))):
        with torch.no_grad():
            out = model.eval()(input_ids=ids)
        theirs = [out[key] for key in ("logits", "start_logits", "end_logits") if key in out]
        for a, b in zip(ours[name], theirs, strict=True):
            apart = (torch.tensor(a) - b.flatten()).abs().max().item()
            print(f"{head['architectures'][0]} {name}: {apart:.2e} apart, of values up to {b.abs().max().item():.3g}")
            worst = max(worst, apart / max(1, b.abs().max().item()))
    sys.exit(0 if worst <= 1e-5 else f"apart by {worst}")


if sys.argv[1:2] == ["check"]:
    check(*sys.argv[2:])
elif sys.argv[1:2] == ["compare"]:
    compare(*sys.argv[2:])
else:
    make()
