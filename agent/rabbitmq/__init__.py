"""The sensor: messages from RabbitMQ are stored, then acknowledged."""
