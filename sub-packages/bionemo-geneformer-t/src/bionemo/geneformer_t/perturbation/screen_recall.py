"""How many of the largest effects a screen finds, and what to say of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

LARGEST = 20
"""Effects that are looked for."""
LEAST_RECALL = 0.95
"""Below it a screen is not used without saying so."""


@dataclass(frozen=True, kw_only=True)
class ScreenRecall:
    """How many of the largest effects a screen found on a sample."""

    recall: Float[ndarray, " readout"]
    """Of each readout: the fraction of the largest exact effects that are among the verified."""
    largest: int
    """Effects that are looked for."""
    verified: int
    """Targets with the largest estimates, which are computed exactly."""
    targets: int
    """All that were compared."""

    def sentence(self, readouts: Sequence[str]) -> str:
        """What to print: the recall, and a warning where it is too low.

        Args:
            readouts: Their names.
        """
        if self.targets <= self.verified:
            return (
                "what a screen finds of the largest effects cannot be measured here: it verifies "
                f"each of the {self.targets} with an effect in the sample; sample more cells, or "
                "leave out --screen"
            )
        low = {
            name: value
            for name, value in zip(readouts, self.recall.tolist(), strict=True)
            if not value >= LEAST_RECALL
        }
        of = (
            f"of the {self.largest} targets with the largest effects among {self.targets:,} in the "
            f"sample, the {self.verified} that a screen verifies"
        )
        if not low:
            return f"{of} hold at least {self.recall.min():.2f} for every readout"
        named = ", ".join(f"{value:.2f} for {name}" for name, value in low.items())
        return (
            f"{of} hold only {named}; below {LEAST_RECALL} the screen cannot be trusted to find "
            "what an exhaustive search would. Leave out --screen, or let it verify more targets"
        )


def screen_recall(
    estimates: Float[ndarray, "target readout"],
    exact: Float[ndarray, "target readout"],
    verified: int,
    largest: int = LARGEST,
) -> ScreenRecall:
    """Compare a screen with an exhaustive search, by the size of effects of either sign.

    Args:
        estimates: Mean effects of targets by the screen; NaN for those that are not ranked.
        exact: The same, exhaustively.
        verified: Targets that the screen verifies for each readout, of the largest estimates.
        largest: Exact effects that are looked for; all where there are fewer targets.

    Raises:
        ValueError: Fewer targets are verified than are looked for, targets are ranked in one of the
            two alone, or none is.
    """
    if verified < largest:
        raise ValueError(
            f"a screen that verifies {verified} targets cannot find the {largest} with the largest "
            f"effects; verify at least {largest}"
        )
    ranked, also = (~np.isnan(effects).any(axis=1) for effects in (estimates, exact))
    if (ranked != also).any():
        raise ValueError(
            f"{int((ranked != also).sum())} of {len(exact)} targets have an effect either by the "
            "screen or exhaustively, not both; give both for the same cells"
        )
    targets = int(ranked.sum())
    if not targets:
        raise ValueError(f"none of the {len(exact)} targets has an effect; sample more cells")
    largest, verified = min(largest, targets), min(verified, targets)
    by_screen, by_search = (
        np.argsort(-np.abs(effects[ranked]), axis=0, kind="stable")
        for effects in (estimates, exact)
    )
    found = [
        np.isin(search[:largest], screen[:verified]).mean()
        for search, screen in zip(by_search.T, by_screen.T, strict=True)
    ]
    return ScreenRecall(recall=np.array(found), largest=largest, verified=verified, targets=targets)
