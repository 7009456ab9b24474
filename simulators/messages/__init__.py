"""A facility's producers: models and image processing that publish messages."""
