"""The peer of the screen: hello world in Textual; with the argument ``input`` a line to type on."""

from __future__ import annotations

import sys

from textual.app import App, ComposeResult


class Hello(App[None]):
    def compose(self) -> ComposeResult:
        if sys.argv[1:] == ["input"]:
            from textual.widgets import Input

            yield Input(placeholder="Hello, world!")
        else:
            from textual.widgets import Static

            yield Static("Hello, world!")


if __name__ == "__main__":
    Hello().run()
