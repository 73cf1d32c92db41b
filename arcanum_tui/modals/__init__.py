"""Windows over a screen. Esc closes each of them and changes nothing."""
