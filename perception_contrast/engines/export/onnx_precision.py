"""An ONNX graph with its matrix products in half precision or bfloat16."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from perception_contrast.core.errors import ModelError

FORMATS = {
    "fp16": (onnx.TensorProto.FLOAT16, torch.float16),
    "bf16": (onnx.TensorProto.BFLOAT16, torch.bfloat16),
}
_PRODUCTS = {"MatMul", "Gemm"}
_MOVES = {"Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
_SUMS = {"Add", "Sub"}
_FACTORS = {"Mul", "Div"}
# Activations: engines fuse them with the bias before them where all of it is in one precision.
_ACTIVATIONS = {"fp16": {"Erf", "Sigmoid", "Tanh"}, "bf16": set[str]()}
_ANY = {"Cast", "Shape"}


def reduce_precision(model: onnx.ModelProto, precision: str) -> None:
    """Puts products, their weights and biases into "fp16" or "bf16", in place; "fp32" leaves all as it is.

    Layer norms, softmax, lengths of vectors, convolutions, residual sums, inputs and outputs stay
    float32. Raises ModelError for another precision.
    """
    if precision == "fp32":
        return
    if precision not in FORMATS:
        raise ModelError(f"an export has no precision '{precision}'; use fp32, {' or '.join(FORMATS)}")
    _Reduction(model.graph, precision).run()


class _Reduction:
    """One walk over a graph in the order it is computed. narrow: names of tensors in low precision."""

    def __init__(self, graph: onnx.GraphProto, precision: str) -> None:
        self._graph, self._precision = graph, precision
        self._kind, self._dtype = FORMATS[precision]
        self._held = {tensor.name: tensor for tensor in graph.initializer}
        self._narrow: set[str] = set()
        self._made: dict[tuple[str, int], str] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._plain: dict[str, str] = {}

    def run(self) -> None:
        for node in self._graph.node:
            self._node(node)
        for value in self._graph.output:
            if value.name in self._narrow:
                self._widen_output(value.name)
        used = {name for node in self._nodes for name in node.input}
        kept = [tensor for name, tensor in self._held.items() if name in used]
        for field, values in ((self._graph.node, self._nodes), (self._graph.initializer, kept)):
            del field[:]
            field.extend(values)
        # Shapes and types that were noted for the tensors between hold no longer.
        del self._graph.value_info[:]

    def _node(self, node: onnx.NodeProto) -> None:
        if self._constant(node):
            return
        inputs = [self._plain.get(name, name) for name in node.input]
        narrow = False
        if node.op_type in _PRODUCTS or self._follows(node.op_type, inputs):
            inputs, narrow = [self._narrowed(name) for name in inputs], True
        elif node.op_type in _MOVES:
            narrow = inputs[0] in self._narrow
        elif node.op_type not in _ANY:
            inputs = [self._widened(name) for name in inputs]
        made = onnx.NodeProto()
        made.CopyFrom(node)
        del made.input[:]
        made.input.extend(inputs)
        self._nodes.append(made)
        if narrow:
            self._narrow.update(node.output)

    def _constant(self, node: onnx.NodeProto) -> bool:
        """Whether the node only holds, or passes on, what does not depend on the images."""
        if node.op_type == "Identity" and self._plain.get(node.input[0], node.input[0]) in self._held:
            self._plain[node.output[0]] = self._plain.get(node.input[0], node.input[0])
            return True
        if node.op_type != "Constant" or node.attribute[0].name != "value":
            return False
        tensor = onnx.TensorProto()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        self._held[tensor.name] = tensor
        return True

    def _follows(self, kind: str, inputs: list[str]) -> bool:
        """Whether an operation on what a product gave goes on in its precision. Residual sums do not."""
        moving = [name for name in inputs if name not in self._held]
        if not moving or not all(name in self._narrow for name in moving):
            return False
        if kind in _SUMS:
            return len(moving) == 1
        return kind in _FACTORS or kind in _ACTIVATIONS[self._precision]

    def _narrowed(self, name: str) -> str:
        if name in self._narrow or not name:
            return name
        if name not in self._held:
            return self._cast(name, self._kind)
        short = f"{name}_{self._precision}"
        if short not in self._held:
            values = torch.from_numpy(_array(self._held[name])).to(self._dtype)
            raw = values.contiguous().view(torch.int16).numpy().tobytes()
            self._held[short] = onnx.TensorProto(
                name=short, data_type=self._kind, dims=values.shape, raw_data=raw
            )
        return short

    def _widened(self, name: str) -> str:
        return self._cast(name, onnx.TensorProto.FLOAT) if name in self._narrow else name

    def _cast(self, name: str, kind: int) -> str:
        """The name of that tensor in another number format; each is made once."""
        if (name, kind) not in self._made:
            made = f"{name}_as_{onnx.TensorProto.DataType.Name(kind).lower()}"
            self._nodes.append(onnx.helper.make_node("Cast", [name], [made], to=kind))
            self._made[name, kind] = made
        return self._made[name, kind]

    def _widen_output(self, name: str) -> None:
        inner = f"{name}_{self._precision}"
        for node in self._nodes:
            for names in (node.input, node.output):
                changed = [inner if one == name else one for one in names]
                del names[:]
                names.extend(changed)
        self._nodes.append(onnx.helper.make_node("Cast", [inner], [name], to=onnx.TensorProto.FLOAT))


def _array(tensor: onnx.TensorProto) -> NDArray[np.float32]:
    # A copy that may be written to: torch takes no other.
    return np.array(onnx.numpy_helper.to_array(tensor), np.float32)
