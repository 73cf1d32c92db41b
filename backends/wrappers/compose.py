"""The wrappers in their order."""

from __future__ import annotations

from backends.wrappers.breaker import Breaker
from backends.wrappers.fair import FairLimit
from backends.wrappers.retry import Retry
from backends.wrappers.traced import Traced
from engine.contract.backend import Backend, Observer


def wrap(backend: Backend, observer: Observer) -> Backend:
    """``backend`` as the engine uses it. From the outside in, and why there:

    1. ``Traced`` sees what whoever asked sees: the wait, every try, the outcome.
    2. ``FairLimit``: a request keeps its place while it is tried again, so that a server with too
       much to do gets no more; and when the breaker opens, its queue empties at once.
    3. ``Breaker`` counts a request that failed at every try as one failure.
    4. ``Retry`` is next to the backend: it alone knows whether anything was handed out.
    """
    return Traced(FairLimit(Breaker(Retry(backend))), observer)
