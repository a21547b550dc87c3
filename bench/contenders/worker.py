"""The worker as shipped, with settings that have no flag changed, or watched by a sampling profiler.

`python -m bench.contenders.worker [--set NAME=JSON]... [--profile FILE] worker ...` (from there on as `promisewatch`).
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import agents.detect
import streams.app
from bench.sampling import Sampler
from promisewatch.main import main
from streams.app import StreamSettings


def change(settings: dict[str, Any]) -> None:
    """Have the detector built with these stream settings."""
    build = streams.app.build_app

    def build_changed(given: StreamSettings, *rest: Any) -> Any:
        return build(replace(given, **settings), *rest)

    setattr(agents.detect, "build_app", build_changed)  # noqa: B010 -- the name it has imported


def start(arguments: list[str]) -> None:
    """Take our own options off the command line and run the rest."""
    settings = {}
    while arguments and arguments[0] in {"--set", "--profile"}:
        option, value, *arguments = arguments
        if option == "--profile":
            Sampler(Path(value)).start()
        else:
            name, _, content = value.partition("=")
            settings[name] = json.loads(content)
    change(settings)
    sys.argv = ["promisewatch", *arguments]
    main()


if __name__ == "__main__":
    start(sys.argv[1:])
