"""MLX folders: on Apple silicon what is fastest, and on Linux the CPU."""

from __future__ import annotations

from pathlib import Path

from backends.hosted.backend import Hosted
from backends.hosted.settings import Host, Options, Patience, Setup
from backends.hosted.states import StateStore
from backends.mlx.folder import check_mlx, control_tokens
from engine.contract.backend import Feature

MLX_LM = Host(
    module="backends.mlx.host",
    package="mlx-lm",
    label="mlx-lm",
    install="Install it (make mlx), or use another model: arcanum model list",
    control=control_tokens,
    features=frozenset({Feature.SCHEMA, Feature.LOGPROBS}),
    slots=1,
)


class Mlx(Hosted):
    """The ``Backend`` over an MLX folder. It gives one answer at a time."""

    def __init__(
        self,
        folder: Path,
        runtime_dir: Path,
        options: Options | None = None,
        patience: Patience | None = None,
        *,
        states: StateStore | None = None,
    ) -> None:
        setup = Setup(
            folder, MLX_LM, runtime_dir, options or Options(), patience or Patience(), states
        )
        super().__init__("mlx", check_mlx, setup)
