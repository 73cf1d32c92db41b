"""The engine's metrics, in a registry of their own (Prometheus' client)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from engine.contract.backend import Observation
from engine.contract.base import visible

_MOST_MODELS = 64
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """One registry per engine, so that two engines in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.calls = Counter(
            "arcanum_calls", "Calls through the gate", ["operation", "outcome"], registry=r
        )
        self.call_seconds = Histogram(
            "arcanum_call_seconds", "Time in the gate", ["operation"], registry=r, buckets=_SECONDS
        )
        self.in_flight = Gauge("arcanum_calls_in_flight", "Calls that run now", registry=r)
        self.commit_seconds = Gauge(
            "arcanum_commit_seconds", "The last transaction's time", ["store"], registry=r
        )
        self.queue_depth = Gauge("arcanum_queue_depth", "What waits", ["queue"], registry=r)
        self.services = Gauge(
            "arcanum_service_up", "1 where the service runs", ["service"], registry=r
        )
        self.approvals = Counter(
            "arcanum_approvals", "Approvals by how they ended", ["state"], registry=r
        )
        self.jobs = Counter("arcanum_jobs", "Jobs ended", ["operation", "state"], registry=r)
        self.tokens = Counter("arcanum_tokens", "Tokens generated", ["model"], registry=r)
        self.first_token_seconds = Histogram(
            "arcanum_first_token_seconds",
            "Question to first token",
            ["model"],
            registry=r,
            buckets=_SECONDS,
        )
        self.model_load_seconds = Histogram(
            "arcanum_model_load_time_seconds",
            "From nothing to ready",
            ["model"],
            registry=r,
            buckets=_SECONDS,
        )
        self.models_loaded = Gauge("arcanum_models_loaded", "Models in memory", registry=r)
        self.model_requests = Counter(
            "arcanum_model_requests",
            "Requests to models by how they ended",
            ["model", "what", "outcome"],
            registry=r,
        )
        self.model_wait_seconds = Histogram(
            "arcanum_model_wait_seconds",
            "Time before a request's turn came",
            ["model"],
            registry=r,
            buckets=_SECONDS,
        )
        self.model_first_piece_seconds = Histogram(
            "arcanum_model_first_piece_seconds",
            "Request to first piece, as the model's own side sees it",
            ["model"],
            registry=r,
            buckets=_SECONDS,
        )
        self.model_tokens = Counter(
            "arcanum_model_tokens", "Tokens generated, for whomever", ["model"], registry=r
        )
        self.memories_waiting = Gauge(
            "arcanum_memories_waiting", "Memories that are not in the index yet", registry=r
        )
        self.memories_unembedded = Gauge(
            "arcanum_memories_unembedded", "Memories that have no vector yet", registry=r
        )
        self.recall_seconds = Histogram(
            "arcanum_recall_seconds", "A search of memories", registry=r, buckets=_SECONDS
        )
        self._models: set[str] = set()
        self.files_hashed = Counter("arcanum_files_hashed", "Files read whole", registry=r)
        self.bytes_hashed = Counter("arcanum_bytes_hashed", "Bytes read whole", registry=r)

    def model(self, name: str) -> str:
        """A model's name as a label: the first of them by name, any further one as "other"."""
        shown = visible(name)[:100]
        if shown not in self._models and len(self._models) >= _MOST_MODELS:
            return "other"
        self._models.add(shown)
        return shown

    def asked(self, seen: Observation) -> None:
        """A request to a model has ended."""
        if seen.what == "changed":
            return
        model = self.model(seen.model)
        self.model_requests.labels(model, seen.what, seen.outcome).inc()
        if seen.what != "stream":
            return
        self.model_wait_seconds.labels(model).observe(seen.waited_s)
        self.model_tokens.labels(model).inc(seen.tokens)
        if seen.first_s is not None:
            self.model_first_piece_seconds.labels(model).observe(seen.first_s)

    def text(self) -> str:
        """The exposition format."""
        return generate_latest(self.registry).decode()
