"""Makes tests/fixtures/training/schedules.json: the learning rates of transformers' schedules, step by step, as shares of the full rate.

    python schedules.py
"""

import json
from pathlib import Path

import torch
from transformers import get_scheduler

CASES = [
    ("constant", 10, 0, {}), ("constant_with_warmup", 10, 4, {}), ("linear", 10, 0, {}), ("linear", 12, 3, {}), ("cosine", 10, 0, {}), ("cosine", 11, 3, {}),
    ("polynomial", 10, 0, {}), ("polynomial", 10, 2, {"power": 2.0, "lr_end": 0.01}),
]
result = []
for name, total, warmup, more in CASES:
    rate = 0.5 if more else 5e-5
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    scheduler = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=total, scheduler_specific_kwargs=more or None)
    factors = []
    for _ in range(total + 3):
        factors.append(optimizer.param_groups[0]["lr"] / rate)
        optimizer.step()
        scheduler.step()
    more = {"power": more["power"], "end": more["lr_end"] / rate} if more else {}
    result.append({"name": name.split("_")[0], "totalSteps": total, "warmupSteps": warmup, **more, "factors": factors})
path = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "training" / "schedules.json"
path.parent.mkdir(exist_ok=True)
path.write_text(json.dumps(result, separators=(",", ":")) + "\n")
