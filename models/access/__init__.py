"""Who may use Athanor: people, machine clients, API keys, and the sessions of those signed in."""
