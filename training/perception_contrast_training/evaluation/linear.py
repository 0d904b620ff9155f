"""Linear probe of whole images: logistic regression on frozen vectors, by scikit-learn or by torch."""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor


def standardised(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Each channel with mean 0 and deviation 1 over ``train`` (n, c)."""
    centre, spread = train.mean(dim=0), train.std(dim=0, correction=0).clamp(min=1e-6)
    return (train - centre) / spread, (test - centre) / spread


def linear_sklearn(train: Tensor, labels: Tensor, test: Tensor, strength: float = 1.0) -> Tensor:
    """(m,) predicted classes. strength: C, the inverse of how much large weights cost."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    inputs, asked = (part.cpu().numpy() for part in standardised(train.float(), test.float()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=strength, max_iter=200).fit(inputs, labels.cpu().numpy())
    return torch.from_numpy(model.predict(asked))


def linear_torch(
    train: Tensor, labels: Tensor, test: Tensor, strength: float = 1.0, iterations: int = 200
) -> Tensor:
    """As ``linear_sklearn``, the same objective, on the device of the vectors.

    sum of cross-entropies + |weights|^2 / (2 strength), minimised by L-BFGS.
    """
    inputs, asked = standardised(train.float(), test.float())
    classes = int(labels.max()) + 1
    weights = torch.zeros(classes, inputs.shape[1], device=inputs.device, requires_grad=True)
    bias = torch.zeros(classes, device=inputs.device, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weights, bias], max_iter=iterations, history_size=20, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(inputs @ weights.T + bias, labels, reduction="sum")
        total = (loss + weights.pow(2).sum() / (2 * strength)) / len(inputs)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    with torch.enable_grad():
        optimiser.step(objective)  # type: ignore[no-untyped-call]
    return (asked @ weights.detach().T + bias.detach()).argmax(dim=-1)
