"""What weight a model begins with: beside nobody, or beside models that were weighed already."""

from collections.abc import Collection, Mapping

from domains.cryoem.weights import normalised


def joined(
    weights: Mapping[str, float], models: Collection[str], initial: Mapping[str, float]
) -> dict[str, float]:
    """Return the weights of all models, those of `weights` and those that join; they sum to 1.

    Models that begin together share by their initial weights. One that joins later gets what
    the models in force have on average, times how its initial weight compares with theirs. A
    model without an initial weight counts as the average of those that have one, so with none
    given all begin with equal shares. Among those in force already, proportions stay.

    Args:
        weights: By model, the weights in force; empty before the first.
        models: The models that are in force from now on; those that have a weight keep it.
        initial: By model, what a person gave it to begin with, ≥ 0 and finite.
    """
    new = sorted(set(models) - set(weights))
    if not new:
        return dict(weights)
    begins = _beginnings([*weights, *new], initial)
    share = 1 / len(weights) if weights else 1.0
    theirs = sum(begins[model] for model in weights) * share
    if weights and theirs == 0:
        # Nothing to compare with.
        begins, theirs = dict.fromkeys(begins, 1.0), 1.0
    return normalised(
        {
            **{model: weight * theirs for model, weight in weights.items()},
            **{model: share * begins[model] for model in new},
        }
    )


def _beginnings(models: Collection[str], initial: Mapping[str, float]) -> dict[str, float]:
    """Return what each model begins with, the greatest 1."""
    given = [initial[model] for model in models if model in initial]
    greatest = max(given, default=0.0)
    if greatest == 0:
        return dict.fromkeys(models, 1.0)
    usual = sum(one / greatest for one in given) / len(given)
    return {model: initial[model] / greatest if model in initial else usual for model in models}
