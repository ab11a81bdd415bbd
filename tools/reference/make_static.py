"""Makes tests/fixtures/static: two small models without an encoder, and what sentence-transformers makes of some texts.

    python make_static.py

sentenceTransformers/ is a StaticEmbedding with a Dense and a Normalize after it; its tokenizer.json cuts texts. model2vec/ is a folder as
model2vec writes it, of one row for several tokens (mapping) and a factor for each (weights). expected.json: texts, and the vectors of each.
"""

import json
import shutil

import numpy
import torch
from make_fixtures import FIXTURES, SEED
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, StaticEmbedding
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

VOCAB = "[PAD] [UNK] [CLS] [SEP] [MASK] a b c the cat sat on mat ##s ##ting . , ! it is".split()
TEXTS = ["The cat sat on the mat.", "cats", "", "it is the sitting cat, it is!", "zebra", "a b c a b c a b c a b c"]
SIZE = 12


def make_tokenizer():
    tokenizer = Tokenizer(models.WordPiece({token: id for id, token in enumerate(VOCAB)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.add_special_tokens(VOCAB[:5])
    return tokenizer


def main():
    folder = FIXTURES / "static"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    generator = numpy.random.default_rng(SEED)
    torch.manual_seed(SEED)
    draw = lambda *shape: generator.standard_normal(shape).astype(numpy.float32)

    tokenizer = make_tokenizer()
    tokenizer.enable_truncation(8)
    static = StaticEmbedding(tokenizer, embedding_weights=draw(len(VOCAB), SIZE))
    model = SentenceTransformer(modules=[static, Dense(SIZE, 7), Normalize()], device="cpu")
    model.save(str(folder / "sentenceTransformers"), create_model_card=False)
    expected = {"texts": TEXTS, "sentenceTransformers": model.encode(TEXTS).tolist()}

    other = folder / "model2vec"
    other.mkdir()
    make_tokenizer().save(str(other / "tokenizer.json"))
    mapping = numpy.arange(len(VOCAB), dtype=numpy.int64) % 15
    save_file({"embeddings": draw(15, SIZE), "mapping": mapping, "weights": abs(draw(len(VOCAB)))}, other / "model.safetensors")
    (other / "config.json").write_text(json.dumps({"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True}))
    model = SentenceTransformer(modules=[StaticEmbedding.load(str(other)), Normalize()], device="cpu")
    expected["model2vec"] = model.encode(TEXTS).tolist()
    (folder / "expected.json").write_text(json.dumps(expected))
    for name in ("README.md", "config_sentence_transformers.json"):
        (folder / "sentenceTransformers" / name).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
