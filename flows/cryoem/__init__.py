"""Flows of the cryo-EM domain."""
