"""Talking to brokers and to Prefect as a launcher of flows."""
