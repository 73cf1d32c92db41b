"""Telemetry: this machine's gauges and the engine's own, only while somebody looks."""
