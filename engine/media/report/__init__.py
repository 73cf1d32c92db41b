"""The catalogue in numbers that add up."""
