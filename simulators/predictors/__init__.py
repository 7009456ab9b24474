"""Simulated ML models: they predict from the truth, with stated noise, and publish over HTTP."""

from simulators.predictors.model import SimulatedModel, accuracy, noise_for
from simulators.predictors.publisher import PredictionPublisher

__all__ = ["PredictionPublisher", "SimulatedModel", "accuracy", "noise_for"]
