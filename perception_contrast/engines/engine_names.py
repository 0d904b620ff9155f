"""Names of the engines and their precisions. Loads no model library."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal[
    "torch", "compiled", "captured", "onnxruntime", "onnxruntime-cuda", "tensorrt",
    "openvino", "openvino-gpu", "openvino-npu",
]  # fmt: skip
Precision = Literal["fp32", "bf16", "fp16", "int8"]

KINDS: tuple[str, ...] = get_args(Kind)
PRECISIONS: tuple[str, ...] = get_args(Precision)
AUTO = "auto"
