"""Cryo-electron microscopy."""
