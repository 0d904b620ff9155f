"""timm and open_clip are imported without torch's compiler, which works as always afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def printed(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_timm_brings_no_compiler_and_the_compiler_works_afterwards() -> None:
    program = (
        "import sys\n"
        "from perception_contrast.models.model_libraries import import_timm\n"
        "timm = import_timm()\n"
        "print('torch._dynamo' in sys.modules, 'torch._dynamo.utils' in sys.modules)\n"
        "import torch, torchvision\n"
        "boxes, torch_seen = torch.tensor([[0., 0., 4., 4.]]), []\n"
        "image = torch.arange(64.).reshape(1, 1, 8, 8)\n"
        "plain = torchvision.ops.roi_align(image, [boxes], 2)\n"
        "torch.use_deterministic_algorithms(True)\n"
        "print(torch.equal(torchvision.ops.roi_align(image, [boxes], 2), plain))\n"
        "torch.compiler.disable(lambda: None)()\n"
        "print(torch.compile(lambda x: x + 1, backend='eager')(torch.ones(1)).item())\n"
        "print(torch._dynamo.__spec__ is not None)\n"
        "print(torch._dynamo.utils.is_compile_supported('cpu') in (True, False))\n"
    )
    assert printed(program) == ["False", "False", "True", "2.0", "True", "True"]


def test_the_modules_of_a_pipeline_bring_no_compiler() -> None:
    program = (
        "import sys, perception_contrast.pipeline.pipeline\n"
        "print(*sorted({'torch._dynamo', 'timm', 'open_clip', 'transformers'} & set(sys.modules)))"
    )
    assert printed(program) == []
