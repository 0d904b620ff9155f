"""A small tokenizer.model in TIPSv2's layout, written by transformers' own protocol buffers."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

CORPUS = [
    "a red mug on the table", "the floor of the kitchen", "two dogs and a ball", "a photo of a red ball.",
    "the table in the kitchen, a mug", "naive fish on a floor!", "the robot's gripper holds a mug",
]  # fmt: skip


def write_words(folder: Path) -> Path:
    """tokenizer.model by transformers' own protocol buffers: a small byte-pair encoding with bytes."""
    from transformers.convert_slow_tokenizer import import_protobuf

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=120, show_progress=False))
    ranked = sorted(trained.get_vocab().items(), key=lambda item: item[1])
    characters = [text for text, _ in ranked if len(text) == 1]
    pairs = [text for text, _ in ranked if len(text) > 1]
    proto = import_protobuf().ModelProto()
    kinds = [("<pad>", 3), ("<unk>", 2), ("<s>", 3), *((f"<0x{byte:02X}>", 6) for byte in range(256))]
    for text, kind in [*kinds, *((text, 1) for text in [*pairs, *characters])]:
        proto.pieces.add(piece=text, score=-float(len(proto.pieces)), type=kind)
    proto.normalizer_spec.name = "nmt_nfkc_cf"
    proto.trainer_spec.model_type = 2
    (folder / "tokenizer.model").write_bytes(proto.SerializeToString())
    return folder / "tokenizer.model"
