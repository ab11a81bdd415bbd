"""
Writes the models that the bench's peers read: python export-onnx.py OUT CHECKPOINT [--base]

OUT/all-MiniLM-L6-v2 from CHECKPOINT, and with --base OUT/bert-base-random (BERT-base's size, random weights, saved as
safetensors for bertscript too). Each folder is laid out as transformers.js reads it:

  onnx/model.onnx                          float32
  onnx/model_quantized.onnx                "q8": onnxruntime's quantize_dynamic, as transformers.js' conversion script
                                           for version 3 and later calls it (signed weights, one scale per matrix)
  onnx/model_quantized_per_channel.onnx    as the script for version 2 did (per_channel, reduce_range)

The graph is what torch.onnx.export writes; onnxruntime fuses it when it loads it. (Fusing it beforehand with
onnxruntime.transformers.optimizer made nothing faster, web or native, float32 or int8.)
"""

import argparse
import logging
import pathlib
import shutil
import warnings

import onnxruntime.quantization as quantization
import torch
from transformers import BertConfig, BertModel

INPUTS = ["input_ids", "attention_mask", "token_type_ids"]


class LastHiddenState(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.model(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state


def export(checkpoint, out):
    model = BertModel.from_pretrained(checkpoint, attn_implementation="eager", add_pooling_layer=False).eval()
    folder = out / "onnx"
    folder.mkdir(parents=True, exist_ok=True)
    ids = torch.randint(1000, 2000, (2, 16))
    mask = torch.ones_like(ids)
    mask[1, 10:] = 0
    names = [*INPUTS, "last_hidden_state"]
    torch.onnx.export(
        LastHiddenState(model),
        (ids, mask, torch.zeros_like(ids)),
        str(folder / "model.onnx"),
        input_names=INPUTS,
        output_names=["last_hidden_state"],
        dynamic_axes={name: {0: "batch_size", 1: "sequence_length"} for name in names},
        opset_version=17,
        dynamo=False,
    )
    signed = dict(weight_type=quantization.QuantType.QInt8)
    source = str(folder / "model.onnx")
    quantization.quantize_dynamic(source, str(folder / "model_quantized.onnx"), **signed)
    per_channel = dict(per_channel=True, reduce_range=True)
    quantization.quantize_dynamic(source, str(folder / "model_quantized_per_channel.onnx"), **signed, **per_channel)
    for path in pathlib.Path(checkpoint).glob("*.json"):
        if path.resolve() != (out / path.name).resolve():
            shutil.copy(path, out)
    print(f"wrote {out}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("--base", action="store_true")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    export(arguments.checkpoint, arguments.out / "all-MiniLM-L6-v2")
    if arguments.base:
        folder = arguments.out / "bert-base-random"
        torch.manual_seed(0)
        BertModel(BertConfig(), add_pooling_layer=False).save_pretrained(folder)
        export(folder, folder)


if __name__ == "__main__":
    main()
