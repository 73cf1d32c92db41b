"""Arcanum's faces: the control center on the screen and the commands of the shell."""
