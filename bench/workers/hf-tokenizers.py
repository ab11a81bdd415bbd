"""The Rust tokenizers through Python: encode_batch, one thread (TOKENIZERS_PARALLELISM=false is set by the driver)."""

import tokenizers

from serve import serve


def start(options):
    tokenizer = tokenizers.Tokenizer.from_file(options["folder"] + "/tokenizer.json")
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def tokenize(work):
        run = lambda: tokenizer.encode_batch(work["texts"])
        outcome = lambda encodings: {
            "ids": [e.ids for e in encodings],
            "offsets": [[x for pair in e.offsets for x in pair] for e in encodings],
        }
        return run, outcome

    return {"tokenizers": tokenizers.__version__}, tokenize


serve(start)
