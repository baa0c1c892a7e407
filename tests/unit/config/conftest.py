"""One factory: YAML text in, a loaded configuration or its list of problems out."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import dedent

import pytest

from polaris_bridge.runtime.config import ConfigError, Loaded, loads

DATA = Path("/srv/data")


class Reader:
    """Reads text as the file ``f.yaml``."""

    def __call__(
        self,
        text: str,
        *,
        sets: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        listen: str | None = None,
        port_offset: int = 0,
    ) -> Loaded:
        given = {} if env is None else env
        return loads(
            dedent(text), source="f.yaml", sets=sets, env=given, data_dir=DATA, listen=listen, port_offset=port_offset
        )

    def problems(self, text: str, **options: object) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            self(text, **options)  # type: ignore[arg-type]
        assert str(caught.value) == "\n".join(map(str, caught.value.problems))
        return [str(problem) for problem in caught.value.problems]


@pytest.fixture
def read() -> Callable[..., Loaded]:
    return Reader()
