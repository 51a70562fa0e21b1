"""What every adapter over a service's SDK shares: the key, where the service is, and its one client.

How a service is spoken to is in `anthropic_text.py`, `openai_text.py` and `openai_embeddings.py`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from elmer_pipelines.errors import SettingsError
from elmer_pipelines.models.retrying import Retrying

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx2

_Client = TypeVar("_Client")


class ServiceClient(Generic[_Client]):
    """One client of an SDK, built on first use, safe for many threads. Raises SettingsError(`no_key`) on an empty key.

    `timeout` is in seconds per read; to connect, five at the most.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str | None,
        timeout: float,
        http_client: httpx2.Client | None,
        retrying: Retrying | None,
        *,
        no_key: str,
    ) -> None:
        if not api_key.strip():
            raise SettingsError(no_key)
        self._key = api_key.strip()
        self._base_url = base_url
        self._timeout = timeout
        self._http_client = http_client
        self._retrying = retrying or Retrying()
        self._lock = threading.Lock()
        self._client: Any = None

    def connected(self) -> _Client:
        """The client, made at the first use."""
        with self._lock:
            if self._client is None:
                import httpx2

                self._client = self._sdk()(
                    api_key=self._key,
                    base_url=self._base_url,
                    timeout=httpx2.Timeout(self._timeout, connect=min(5.0, self._timeout)),
                    max_retries=0,  # one place decides about retries, and none obeys a retry-after of hours
                    http_client=self._http_client,
                )
            client: _Client = self._client
            return client

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _sdk(self) -> Callable[..., _Client]:
        """The SDK's class; imported only when a call is made."""
        raise NotImplementedError
