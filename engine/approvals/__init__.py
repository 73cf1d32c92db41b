"""Approvals: durable plans, a person's answer, execution exactly once."""
