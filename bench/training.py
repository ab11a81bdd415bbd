"""Time of a training step in PyTorch, the twin of bench/training.ts: python bench/training.py [FOLDER] [threads=1] [steps=10]"""

import resource
import sys
import time
from pathlib import Path

import torch
import transformers

words = sys.argv[1:]
option = lambda name, fallback: int(next((w.split("=")[1] for w in words if w.startswith(name + "=")), fallback))
folder = next((w for w in words if Path(w).exists()), "weights/original/all-MiniLM-L6-v2")
torch.set_num_threads(option("threads", 1))
steps = option("steps", 10)
transformers.utils.logging.set_verbosity_error()
model = transformers.BertForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
model.train() if "train" in words else model.eval()
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
ids = torch.tensor([[1000 + (s * 7919 + i * 104729) % 20000 for i in range(64)] for s in range(16)])
mask, labels = torch.ones_like(ids), torch.tensor([s % 2 for s in range(16)])


def step():
    optimizer.zero_grad()
    loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


for _ in range(2):
    step()
times, work = [], []  # wall clock, and the processor's time, which a machine shared with others changes less
for _ in range(steps):
    start, used = time.perf_counter(), time.process_time()
    loss = step()
    times.append(1000 * (time.perf_counter() - start))
    work.append(1000 * (time.process_time() - used))
times.sort()
work.sort()
c = model.config
weights = c.num_hidden_layers * (4 * c.hidden_size**2 + 2 * c.hidden_size * c.intermediate_size)
operations = 6 * 16 * 64 * (weights + c.num_hidden_layers * 2 * 64 * c.hidden_size)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, attention {c._attn_implementation}")
print(f"step: median {times[steps // 2]:.0f} ms, best {times[0]:.0f} ms, processor median {work[steps // 2]:.0f}, best {work[0]:.0f} ms, {operations / times[0] / 1e6:.1f} GFLOP/s; peak {peak:.0f} MB; loss {loss:.5f}")
