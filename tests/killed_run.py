"""Steps of a run, in a process of its own that a test may kill at any moment. No Dagster here.

Reads a line of JSON settings per start from stdin (`STEPS` are the steps' names), forks (the imports are paid once),
prints the child's pid, and, when it has ended, its exit status.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback


def _preload() -> None:
    import anthropic
    import openai
    import scipy.sparse.csgraph
    import tiktoken

    import elmer_pipelines.pipeline
    import elmer_pipelines.signals.embedding

    assert anthropic and openai and scipy and tiktoken and elmer_pipelines.pipeline


def _run(workspace: str, steps: list[str]) -> None:
    from elmer_pipelines.pipeline import Pipeline
    from elmer_pipelines.settings import load_settings
    from elmer_pipelines.store.database import Database
    from elmer_pipelines.store.run_locks import holding

    settings = load_settings()
    assert settings.database_url is not None
    pipeline = Pipeline(settings, Database(settings.database_url.get_secret_value()))
    with holding(pipeline.database, f"run-{os.getpid()}", workspace, logging.getLogger()):
        for step in steps:
            result = pipeline.run(step, workspace)
            assert not result.failed, (step, result)
    pipeline.close()


def main() -> None:
    """Start a run for every line until stdin ends."""
    _preload()
    for line in sys.stdin:
        settings = json.loads(line)
        child = os.fork()
        if not child:
            try:
                steps = settings.pop("STEPS").split()
                os.environ.update(settings)
                _run("acme", steps)
                status = 0
            except BaseException:  # noqa: BLE001 - whatever it is, the child ends here
                traceback.print_exc()
                status = 1
            os._exit(status)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
