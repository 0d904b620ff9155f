#!/usr/bin/env python3
"""Makes the vectors of texts that come with the package: of all that a node with the default model encodes.

    scripts/text_vectors.py            writes perception_contrast/models/data/text_vectors.safetensors
    scripts/text_vectors.py --check    says whether that file holds all of them, and nothing else

To be run after a change of a named vocabulary, of the absent names or of a packaged head.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from perception_contrast.core.vocabulary import Query  # noqa: E402
from perception_contrast.encoders.alignment_head import load_alignment  # noqa: E402
from perception_contrast.encoders.household_lit import PACKAGED  # noqa: E402
from perception_contrast.segmentation.place_level import absent_names  # noqa: E402
from perception_contrast.segmentation.searcher_factory import NEUTRAL  # noqa: E402
from perception_contrast.text.sentence_encoder import (  # noqa: E402
    canonical_sentence,
    load_minilm,
    minilm_space,
)
from perception_contrast.text.shipped_vectors import (  # noqa: E402
    SHIPPED_FILE,
    read_shipped_vectors,
    write_shipped_vectors,
)
from perception_contrast.vocabulary.vocabulary_file import load_vocabulary  # noqa: E402


def wanted_texts() -> tuple[str, ...]:
    """Canonical forms of the neutral words, the heads' names, the absent names and all vocabularies."""
    texts = [*NEUTRAL, *absent_names()]
    for heads in PACKAGED.values():
        texts += json.loads(load_alignment(heads.alignment)[1].get("names", "[]"))
    for path in sorted((ROOT / "config" / "vocabularies").glob("*.yaml")):
        vocabulary = load_vocabulary(path)
        texts += vocabulary.distractors
        texts += [text for query in vocabulary.queries for text in _texts_of(query)]
    return tuple(sorted({canonical_sentence(text) for text in texts}))


def _texts_of(query: Query) -> tuple[str, ...]:
    return (*query.texts(), *query.negatives)


def problem() -> str:
    """What is wrong with the file, "" for nothing."""
    shipped, wanted = read_shipped_vectors(), wanted_texts()
    if shipped.space != minilm_space():
        return f"it is of {shipped.space}, not of {minilm_space()}"
    new, old = sorted(set(wanted) - set(shipped.texts)), sorted(set(shipped.texts) - set(wanted))
    return "; ".join(
        f"{what} {', '.join(texts)}" for what, texts in (("missing:", new), ("not wanted:", old)) if texts
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or 1 where ``--check`` finds the file to be out of date."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    if parser.parse_args(argv).check:
        found = problem()
        print(f"{SHIPPED_FILE.name}: {found or 'up to date'}", file=sys.stderr if found else sys.stdout)
        return 1 if found else 0
    made = write_shipped_vectors(SHIPPED_FILE, load_minilm(), wanted_texts())
    size = SHIPPED_FILE.stat().st_size / 1e6
    print(f"{SHIPPED_FILE}: {len(made.texts)} texts of {made.space}, {size:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
