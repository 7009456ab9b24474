"""The agent's end of the channel: instructions received, acted on once, and answered."""
