"""PEFT as the oracle for LoRA adapters.

    python adapters.py                          makes tests/fixtures/adapters/: an adapter of PEFT's for bert/sequenceClassification, with logits
    python adapters.py check BASE ADAPTER OUT   loads an adapter that was saved here with transformers and PEFT, and writes logits of some ids to OUT (JSON)
"""

import json
import sys
from pathlib import Path

import peft
import torch
from safetensors.torch import save_file
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


if sys.argv[1:2] == ["check"]:
    check(*sys.argv[2:])
else:
    make()
