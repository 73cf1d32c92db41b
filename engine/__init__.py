"""The engine: everything Arcanum does, without a face and without a model provider."""
