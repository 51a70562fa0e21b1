"""The entry point of every container: `start.py [--migrate] COMMAND …` runs the command on this installation.

Only the variables of Dagster's processes are added, from the settings; secrets travel in the environment, never in
a command line. `--migrate` brings the database to the newest schema first.
"""

from __future__ import annotations

import os
import sys

from elmer_pipelines.errors import ElmerError
from elmer_pipelines.installation import environment, open_database
from elmer_pipelines.settings import load_settings

_BLANK_MEANS_UNSET = "JUPYTER_TOKEN"  # Compose passes an empty one on, with which JupyterLab would ask for nothing


def main(arguments: list[str]) -> int:
    """Become the command; returns only what went wrong before it."""
    migrate = arguments[:1] == ["--migrate"]
    command = arguments[1:] if migrate else arguments
    if not command:
        sys.stderr.write("start.py: which command? See docker-compose.yml.\n")
        return 2
    if not os.environ.get(_BLANK_MEANS_UNSET, "").strip():
        os.environ.pop(_BLANK_MEANS_UNSET, None)
    try:
        settings = load_settings()
        if migrate:
            open_database(settings).close()
        os.environ.update(environment(settings))
        os.execvp(command[0], command)  # noqa: S606 - the command is the one of docker-compose.yml
    except ElmerError as error:
        sys.stderr.write(f"{error}\n")
    except OSError as error:
        sys.stderr.write(f"{command[0]} can't be started: {error.strerror}.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
