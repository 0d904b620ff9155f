"""Weights of the cache's files stay where the files are mapped; those of other files are copied."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from perception_contrast.core.errors import ModelError
from perception_contrast.models.weight_loading import load_strictly, load_tensors


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache" / "weights.safetensors"


def written(path: Path, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    state = {name: value.to(dtype) for name, value in nn.Linear(5, 7).state_dict().items()}
    save_file(state, path)
    return state


def loaded(path: Path) -> tuple[nn.Linear, dict[str, torch.Tensor]]:
    """A network with a file's weights, and the tensors that they were loaded from."""
    network, tensors = nn.Linear(5, 7).requires_grad_(False), load_tensors(path)
    load_strictly(network, tensors, path)
    return network, tensors


def test_weights_of_the_cache_are_no_copies(cached: Path) -> None:
    state = written(cached)
    network, tensors = loaded(cached)
    assert network.weight.data_ptr() == tensors["weight"].data_ptr()
    assert torch.equal(network.weight, state["weight"]) and torch.equal(network.bias, state["bias"])
    assert isinstance(network.weight, nn.Parameter) and not network.weight.requires_grad


def test_weights_of_a_file_that_may_be_written_to_are_copies(cached: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    state = written(path)
    network, tensors = loaded(path)
    assert network.weight.data_ptr() != tensors["weight"].data_ptr()
    assert torch.equal(network.weight, state["weight"])


def test_weights_in_another_format_become_the_networks_own(cached: Path) -> None:
    state = written(cached, torch.float16)
    network, _ = loaded(cached)
    assert network.weight.dtype == torch.float32
    assert torch.equal(network.weight, state["weight"].float())


def test_weights_of_the_cache_that_do_not_fit_are_refused(cached: Path) -> None:
    save_file({"weight": torch.zeros(7, 4), "bias": torch.zeros(7)}, cached)
    with pytest.raises(ModelError, match="does not fit the model"):
        loaded(cached)


def test_weights_that_change_leave_their_file_as_it_is(cached: Path) -> None:
    state = written(cached)
    network, _ = loaded(cached)
    network.weight.zero_()
    assert torch.equal(load_tensors(cached)["weight"], state["weight"])
