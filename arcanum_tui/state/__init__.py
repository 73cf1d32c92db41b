"""What the screens show: frozen values and pure folds. No Textual, and no pydantic at import
in what the first paint needs (``model``, ``grid``, ``text``)."""
