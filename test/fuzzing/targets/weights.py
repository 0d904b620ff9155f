"""Files with weights: safetensors, cards of exported models, ONNX."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper

from fuzzing.formats.onnx_fields import mutated_onnx
from fuzzing.formats.safetensors_header import mutated_header
from fuzzing.target import Mutation, Target
from fuzzing.trees import mutated_tree
from perception_contrast.core.errors import ModelError
from perception_contrast.engines.export.exported_encoder import ExportedEncoder, seal
from perception_contrast.models.folder_models import CARD, WEIGHTS, folder_model
from perception_contrast.models.weight_conversion import dinov2_from_onnx
from perception_contrast.models.weight_loading import load_strictly, load_tensors
from perception_contrast.segmentation.sam.onnx_model import OnnxModel

_CPU = "CPUExecutionProvider"


class Safetensors(Target):
    allowed = (ModelError,)

    @property
    def mutations(self) -> Sequence[Mutation]:
        return (mutated_header,)

    def seeds(self) -> list[bytes]:
        from safetensors.torch import save

        torch.manual_seed(0)
        self._module = torch.nn.Linear(4, 3)
        halves = {name: value.half() for name, value in self._module.state_dict().items()}
        return [save(self._module.state_dict()), save(halves, {"format": "pt"}), save({})]

    def run(self, data: bytes) -> None:
        path = self.scratch / "model.safetensors"
        path.write_bytes(data)
        tensors = load_tensors(path)
        load_strictly(torch.nn.Linear(4, 3), tensors, path)


class ModelCards(Target):
    allowed = (ModelError,)

    @property
    def mutations(self) -> Sequence[Mutation]:
        return (_mutated_json,)

    def seeds(self) -> list[bytes]:
        (self.scratch / WEIGHTS).write_bytes(b"weights")
        (self.scratch / "words.safetensors").write_bytes(b"words")
        card: dict[str, Any] = {
            "format": "perception_contrast model", "version": 1, "model": "mine", "family": "dinov2",
            "arch": "vit",
            "options": {"num_heads": 3, "init_values": 1.0}, "patch": 14, "dim": 384, "size": 518,
            "mean": [0.4, 0.4, 0.4], "std": [0.2, 0.2, 0.2], "licence": "MIT", "description": "ours",
            "millions": 22.1,
            "sha256": "0" * 64,
        }  # fmt: skip
        words = {
            "tower": "transformer", "dim": 16, "file": "words.safetensors", "head": True, "sigmoid": False,
            "attention": True, "width": 64, "depth": 2, "heads": 2, "context": 16, "hidden": 0,
            "sentences": "",
        }  # fmt: skip
        return [
            json.dumps(one).encode()
            for one in (card, card | {"beside": {words["file"]: "1" * 64}, "words": words})
        ]

    def run(self, data: bytes) -> None:
        (self.scratch / CARD).write_bytes(data)
        spec = folder_model(self.scratch)
        hash(spec)  # a spec is a key of caches


def _mutated_json(rng: Random, data: bytes) -> bytes:
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return data
    return json.dumps(mutated_tree(rng, tree, tree) if isinstance(tree, dict | list) else tree).encode()


class Onnx(Target):
    allowed = (ModelError,)

    @property
    def mutations(self) -> Sequence[Mutation]:
        return (mutated_onnx,)

    def seeds(self) -> list[bytes]:
        return [small_export(), small_backbone()]

    def run(self, data: bytes) -> None:
        path = self.scratch / "model.onnx"
        path.write_bytes(seal(data))
        refused = []
        for read in (self._encoder, self._proposer, dinov2_from_onnx):
            try:
                read(path)
            except ModelError as error:
                refused.append(error)
        if len(refused) == 3:
            raise refused[0]

    @staticmethod
    def _encoder(path: Any) -> None:
        encoder = ExportedEncoder(path, threads=1)
        assert all(one.name and one.space for one in encoder.outputs)
        encoder.features(np.zeros((20, 30, 3), np.uint8))

    @staticmethod
    def _proposer(path: Any) -> None:
        model = OnnxModel(path, [_CPU])
        model.require_outputs(*model.outputs)
        feed = {
            name: np.zeros([_side(one) for one in shape], np.float32) for name, shape in model.inputs.items()
        }
        model.run(feed, *model.outputs)


def _side(declared: Any) -> int:
    """A small one for a free dimension, and for one that is absurd."""
    return min(max(declared, 0), 64) if isinstance(declared, int) else 4


def small_export() -> bytes:
    """An exported encoder of one convolution: 2x2 cells of 4 channels of an image of 28x28."""
    weight = numpy_helper.from_array(np.full((4, 3, 14, 14), 0.01, np.float32), "weight")
    nodes = [
        helper.make_node("Conv", ["images", "weight"], ["cells"], strides=[14, 14]),
        helper.make_node("Transpose", ["cells"], ["tokens"], perm=[0, 2, 3, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 28, 28])],
        [helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["batch", 2, 2, 4])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    facts = {
        "format": "perception_contrast", "format_version": "1", "model": "small", "space": "small@1",
        "family": "dinov2",
        "outputs": '["tokens"]', "spaces": '{"tokens": "small@1"}', "unit": "[]", "precision": "fp32",
        "patch": "14",
        "size": "[28, 28]", "mean": "[0.5, 0.5, 0.5]", "std": "[0.5, 0.5, 0.5]", "licence": "MIT", "dim": "4",
    }  # fmt: skip
    helper.set_model_props(model, facts)
    return bytes(model.SerializeToString())


def small_backbone() -> bytes:
    """The initialisers of an exported DINOv2 without blocks, in a graph that does nothing."""
    names = ("cls_token", "patch_embeddings.projection.weight", "patch_embeddings.projection.bias")
    held = [f"backbone.embeddings.{name}" for name in names] + [
        "backbone.layernorm.weight",
        "backbone.layernorm.bias",
    ]
    tensors = [numpy_helper.from_array(np.zeros((1, 2, 3), np.float32), name) for name in (*held, "a", "b")]
    nodes = [
        helper.make_node("Concat", ["a"], ["c"], name="/backbone/embeddings/Concat_6", axis=1),
        helper.make_node("Concat", ["b"], ["d"], name="/backbone/embeddings/Reshape_1", axis=1),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, 3]) for name in ("c", "d")]
    graph = helper.make_graph(nodes, "backbone", [], outputs, tensors)
    return bytes(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
        ).SerializeToString()
    )
