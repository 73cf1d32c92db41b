"""Reports as pages: pure functions from what the engine counted to text. No Textual."""
