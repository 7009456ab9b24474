"""Prefect blocks: connections and credentials, no workflow."""
