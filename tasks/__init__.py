"""Prefect tasks: one retryable effect each."""
