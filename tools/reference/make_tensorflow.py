"""Makes tests/fixtures/tensorflow: a small checkpoint as Google's BERT saves it, and what PyTorch computes from the same numbers.

    python make_tensorflow.py references    config, vocabulary, references and the arrays (needs torch and transformers)
    python make_tensorflow.py checkpoint    bert_model.ckpt from those arrays (needs tensorflow, in an environment of its own)

The arrays are handed over in /tmp/bert_model.npz, under Google's names (github.com/google-research/bert: modeling.py, run_pretraining.py).
The checkpoint has the moments of an optimizer and a step counter too, as those have that were not made for publishing.
"""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "tensorflow"
ARRAYS = Path("/tmp/bert_model.npz")


def google_name(name):
    """Of a parameter of transformers' BertForPreTraining."""
    name = re.sub(r"\.layer\.(\d+)\.", r".layer_\1.", name).replace(".", "/")
    name = re.sub(r"LayerNorm/weight$", "LayerNorm/gamma", name)
    name = re.sub(r"LayerNorm/bias$", "LayerNorm/beta", name)
    name = re.sub(r"_embeddings/weight$", "_embeddings", name)
    name = re.sub(r"^cls/predictions/bias$", "cls/predictions/output_bias", name)
    name = re.sub(r"^cls/seq_relationship/weight$", "cls/seq_relationship/output_weights", name)
    name = re.sub(r"^cls/seq_relationship/bias$", "cls/seq_relationship/output_bias", name)
    return re.sub(r"/weight$", "/kernel", name)


def make_references():
    import capture
    import torch
    import transformers
    from make_fixtures import BERT, SEED, randomize

    FOLDER.mkdir(parents=True, exist_ok=True)
    config = transformers.BertConfig(**BERT)
    model = transformers.BertForPreTraining._from_config(config, attn_implementation="eager")
    model.tie_weights()
    randomize(model, SEED).eval()
    arrays = {}
    for name, parameter in model.named_parameters():
        array = parameter.detach().numpy()
        arrays[google_name(name)] = array.T if google_name(name).endswith("/kernel") else array
    np.savez(ARRAYS, **arrays)
    keys = ("attention_probs_dropout_prob", "hidden_act", "hidden_dropout_prob", "hidden_size", "initializer_range", "intermediate_size",
            "max_position_embeddings", "num_attention_heads", "num_hidden_layers", "type_vocab_size", "vocab_size")  # Google's
    (FOLDER / "bert_config.json").write_text(json.dumps({key: getattr(config, key) for key in keys}, indent=2) + "\n")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{i}" for i in range(config.vocab_size - 5))]
    (FOLDER / "vocab.txt").write_text("\n".join(words) + "\n")
    inputs = capture.random_inputs(config, (3, 9), SEED)
    capture.save(FOLDER / "reference.safetensors", capture.run(model, inputs), model, SEED)


def make_checkpoint():
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    v1 = tf.compat.v1
    arrays = dict(np.load(ARRAYS))
    with tf.Graph().as_default():
        for name, array in arrays.items():
            v1.get_variable(name, initializer=np.ascontiguousarray(array))
        for name in ("bert/pooler/dense/kernel", "bert/pooler/dense/bias", "cls/seq_relationship/output_weights"):
            for moment in ("adam_m", "adam_v"):
                v1.get_variable(f"{name}/{moment}", initializer=np.ones_like(arrays[name]))
        v1.get_variable("global_step", initializer=np.int64(7))
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            v1.train.Saver().save(session, str(FOLDER / "bert_model.ckpt"), write_meta_graph=False, write_state=False)


if __name__ == "__main__":
    {"references": make_references, "checkpoint": make_checkpoint}[sys.argv[1]]()
