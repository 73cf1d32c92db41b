"""The report room: what the rooms know, in numbers to be shown, kept or handed on."""
