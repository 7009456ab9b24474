"""Prefect flows: the order of tasks, nothing else."""
