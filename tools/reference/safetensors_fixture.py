"""Writes tests/fixtures/safetensors: a file with every dtype PyTorch can store, what PyTorch reads from it, and how
PyTorch and NumPy decode and round narrow floats.

    python tools/reference/safetensors_fixture.py
"""

import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors import TensorSpec, deserialize, serialize
from safetensors.torch import save

OUT = Path(__file__).parents[2] / "tests/fixtures/safetensors"
NARROW = {
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "F8_E8M0": torch.float8_e8m0fnu,
}
FLOATS = [0.0, -0.0, 1.0, -1.5, 1 / 3, 6.1e-5, 5.96e-8, 448.0, 65504.0, 1e30, float("inf"), -float("inf"), float("nan")]


def integers(dtype):
    info = torch.iinfo(dtype)
    return torch.tensor([info.min, info.min + 1, 0, 1, 2, info.max - 1, info.max], dtype=dtype)


def tensors():
    """In no particular order, with names that test the order of the file and the escapes of its header."""
    made = {
        "bool": torch.tensor([[True, False], [False, True]]),
        "u8": integers(torch.uint8),
        "i8": integers(torch.int8),
        "i16": integers(torch.int16),
        "u16": integers(torch.uint16),
        "i32": integers(torch.int32),
        "u32": integers(torch.uint32),
        "i64": integers(torch.int64),
        "u64": integers(torch.uint64),
        "f32": torch.tensor(FLOATS, dtype=torch.float32),
        "f64": torch.tensor(FLOATS, dtype=torch.float64),
        "c64": torch.tensor([1 + 2j, -3.5j], dtype=torch.complex64),
        "scalar": torch.tensor(7.25),
        "empty": torch.zeros(0, 3),
        # U+FF5E sorts before U+1F600 in UTF-8, after it in UTF-16.
        "name \uff5e": torch.tensor([1.0]),
        "name \U0001f600": torch.tensor([2.0]),
        'name "quoted" \\ \n\x01': torch.tensor([3.0]),
        "10": torch.tensor([4.0]),
        "9": torch.tensor([5.0]),
        "__proto__": torch.tensor([6.0]),
    }
    for name, dtype in NARROW.items():
        # E8M0 has no zero and no sign.
        values = [0.25, 1.0, 2.0, 256.0] if name == "F8_E8M0" else FLOATS
        made[name.lower()] = torch.tensor(values, dtype=torch.float32).to(dtype)
    return made


def number(value):
    """JSON has no word for some floats, and loses integers beyond 2^53: those as the strings JavaScript reads."""
    if isinstance(value, int):
        return str(value)
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return "-0" if value == 0 and np.signbit(value) else value


def expected(tensor):
    if tensor.is_complex():
        return None
    if tensor.is_floating_point():
        return [number(v) for v in tensor.to(torch.float64).flatten().tolist()]
    return [number(int(v)) for v in tensor.flatten().tolist()]


def decode_hash(dtype):
    """SHA-256 of the float32 values of every code, each NaN as 0x7fc00000."""
    bits = 16 if dtype.itemsize == 2 else 8
    codes = np.arange(2**bits, dtype=np.uint16 if bits == 16 else np.uint8)
    values = torch.from_numpy(codes).view(dtype).to(torch.float32).numpy().copy()
    values.view(np.uint32)[np.isnan(values)] = 0x7FC00000
    return hashlib.sha256(values.tobytes()).hexdigest()


def rounding():
    """Float32 values and their float16 and bfloat16 bits: random ones, and every kind of tie and its neighbours."""
    generator = np.random.default_rng(1)
    random = generator.integers(0, 2**32, 200, dtype=np.uint32)
    ordinary = (generator.standard_normal(100) * 10.0 ** generator.integers(-9, 6, 100)).astype(np.float32).view(np.uint32)
    ties = []
    for shift, bases in ((16, (0x0000, 0x0001, 0x0080, 0x3F80, 0x3F81, 0x7F7F)), (13, (0x1C000, 0x1C001, 0x23BFF))):
        for base in bases:
            tie = (base << shift) + (1 << (shift - 1))
            ties += [tie - 1, tie, tie + 1, 0x80000000 + tie]
    # Half of the smallest float16 subnormal, and one and a half of it.
    small = np.array([2.0**-25, 1.5 * 2.0**-24, 65519.996, 65520.0, 2.0**-14], np.float32).view(np.uint32)
    neighbours = np.concatenate([small - 1, small, small + 1])
    bits = np.concatenate([random, ordinary, np.array(ties, np.uint32), neighbours])
    values = torch.from_numpy(bits.view(np.float32).copy())
    keep = ~torch.isnan(values)
    half = values.to(torch.float16).view(torch.uint16)
    brain = values.to(torch.bfloat16).view(torch.uint16)
    return {
        "float32": [int(b) for b in bits[keep.numpy()]],
        "float16": half[keep].tolist(),
        "bfloat16": brain[keep].tolist(),
    }


def rounding_from_double():
    """Doubles whose rounding to float16 by way of float32 would be wrong, and what NumPy rounds them to directly."""
    values = [1 + 2**-11 + 2**-40, 1 + 3 * 2**-11 - 2**-40, 2**-25 + 2**-60, 65520 - 2**-35, 1 + 2**-11, 1e300, 5e-324]
    values += [-v for v in values]
    return {"float64": values, "float16": [int(b) for b in np.array(values).astype(np.float16).view(np.uint16)]}


def odd_dtypes():
    """F4 and F6, which PyTorch does not compute with, in a file the Rust reader accepts."""
    header = {
        "f6_e2m3": {"dtype": "F6_E2M3", "shape": [4], "data_offsets": [0, 3]},
        "f6_e3m2": {"dtype": "F6_E3M2", "shape": [2, 4], "data_offsets": [3, 9]},
        "f4": {"dtype": "F4", "shape": [2, 3], "data_offsets": [9, 12]},
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = struct.pack("<Q", len(text)) + text + bytes(range(12))
    assert len(deserialize(data)) == 3
    return data


def unaligned():
    """A float32 tensor at offset 1, as old writers left them."""
    header = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}'
    data = struct.pack("<Q", len(header)) + header + b"\x09" + struct.pack("<2f", 1.5, -2.25)
    assert len(deserialize(data)) == 2
    return data


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    made = tensors()
    (OUT / "dtypes.safetensors").write_bytes(save(made, {"format": "pt"}))
    (OUT / "narrowest.safetensors").write_bytes(odd_dtypes())
    (OUT / "unaligned.safetensors").write_bytes(unaligned())
    byte = np.zeros(1, np.uint8)
    spec = {"a": TensorSpec(dtype="uint8", shape=[1], data_ptr=byte.ctypes.data, data_len=1)}
    (OUT / "plain.safetensors").write_bytes(bytes(serialize(spec)))
    facts = {
        "made_with": {"safetensors": safetensors.__version__, "torch": torch.__version__, "numpy": np.__version__},
        "tensors": {
            name: {"shape": list(tensor.shape), "values": expected(tensor)} for name, tensor in sorted(made.items())
        },
        "decode_sha256": {name: decode_hash(dtype) for name, dtype in NARROW.items()},
        "rounding": rounding(),
        "rounding_from_double": rounding_from_double(),
    }
    (OUT / "expected.json").write_text(json.dumps(facts, separators=(",", ":")))


main()
