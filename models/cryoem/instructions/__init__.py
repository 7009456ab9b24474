"""The agent channel: sessions of agents, instructions, acknowledgements, logs, and news of them."""
