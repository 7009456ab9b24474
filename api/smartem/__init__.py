"""The HTTP surface that SmartEM's clients know, a module for each resource."""
