"""The agent channel: sessions of agents, instructions to them, and what they say."""
