"""What packing begins with: a prepared environment, its options and its layers, read once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from ..model.errors import telling_system_errors
from ..model.formats import CompressionFormat
from ..model.interpreter import is_fixed_path
from ..platforms.platform import check_possible
from ..scan.layers import read_layers
from ..scan.probe import read_environment

if TYPE_CHECKING:
    from _typeshed import StrPath

    from ..config.options import PackOptions
    from ..model.environment import Environment
    from ..model.layers import Layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A prepared environment and its layers, read once.

    Parameters:
        options: the options, with the environment's default format if none was requested.
    """

    environment: Environment
    options: PackOptions
    layers: Layers | None = None

    @classmethod
    @telling_system_errors()
    def read(cls, prefix: StrPath, options: PackOptions) -> Self:
        """Read a prefix: run its interpreter, but import nothing from it and write nothing.

        Raises:
            EnvironmentProblem: if there is no usable environment.
            InterpreterProblem: if the options request something impossible for its system.
            PlanError: if its layers are missing or do not fit.
            WheelProblem: if a pattern in `wheels` does not match exactly one file.
        """
        connected = options.interpreter != "bundled" and options.base_runtime is None
        return cls.of(read_environment(prefix, may_be_elsewhere=connected), options)

    @classmethod
    @telling_system_errors()
    def of(cls, environment: Environment, options: PackOptions) -> Self:
        """Do the same as `read` for an environment that has already been read."""
        fixed = is_fixed_path(options.interpreter)
        check_possible(
            environment, bytecode=options.bytecode, fixed_path=fixed, formats=options.formats
        )
        if CompressionFormat.SQUASHFS in options.formats:
            from ..write.sinks.squashfs import find_mksquashfs

            find_mksquashfs()
        layers = read_layers(environment, options)
        if layers is not None:
            environment = replace(environment, containing=layers.containing)
        options = options.for_environment(environment)
        if options.wheels:
            from ..scan.wheels import found_wheels  # 20 ms that most runs can do without

            found = found_wheels(options.wheels, newest=options.wheels_newest)
            options = replace(options, wheels=found)
        return cls(environment=environment, options=options, layers=layers)
