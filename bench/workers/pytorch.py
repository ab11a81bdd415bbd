"""PyTorch through transformers, one thread: the expected outputs, and a contestant."""

import numpy
import torch
from transformers import AutoModel, AutoTokenizer

from serve import floats, serve


def start(options):
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    model = AutoModel.from_pretrained(options["folder"]).eval()
    doubles = None

    def encoder(work):
        ids = torch.tensor(work["ids"])
        mask = torch.ones_like(ids)
        run = lambda: model(input_ids=ids, attention_mask=mask).last_hidden_state
        return run, lambda x: {"floats": floats(x.numpy())}

    def hidden_states(work):
        """Every layer's output, in float32, or in float64 (given as its nearest float32 and the rest)."""
        nonlocal doubles
        ids = torch.tensor(work["ids"])
        if work["dtype"] == "f64" and doubles is None:
            doubles = AutoModel.from_pretrained(options["folder"], dtype=torch.float64).eval()
        chosen = doubles if work["dtype"] == "f64" else model
        run = lambda: torch.stack(chosen(input_ids=ids, output_hidden_states=True).hidden_states)

        def outcome(x):
            high = x.to(torch.float32)
            rest = (x - high.to(x.dtype)).to(torch.float32)
            return {"floats": floats(numpy.concatenate([high.numpy().ravel(), rest.numpy().ravel()]))}

        return run, outcome

    def embed(work):
        """Means of the last hidden state, normalized, one text at a time: nothing is padded."""
        tokenizer = AutoTokenizer.from_pretrained(options["folder"])

        def run():
            rows = []
            tokens = 0
            for text in work["texts"]:
                x = model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=256)).last_hidden_state
                rows.append(torch.nn.functional.normalize(x.mean(1), dim=1))
                tokens += x.shape[1]
            return torch.cat(rows), tokens

        return run, lambda result: {"floats": floats(result[0].numpy()), "tokens": result[1]}

    kinds = {"encoder": encoder, "hiddenStates": hidden_states, "embed": embed}
    return {"torch": torch.__version__, "threads": torch.get_num_threads()}, lambda work: kinds[work["kind"]](work)


serve(start)
