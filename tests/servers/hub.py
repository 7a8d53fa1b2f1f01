"""A local Hugging Face Hub that implements what the real ``huggingface_hub`` client needs.

It responds as huggingface_hub 2.4 expects: repositories, paginated trees, files with ranges (large
ones on another host, which must not get the token), and uploads. Xet, the real Hub's preferred
storage, is not supported: files lack its headers, so downloads use plain HTTP, and uploads need
``HF_HUB_DISABLE_XET``, because the client never falls back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tests.servers.hub_access import Hub, Routes, cut
from tests.servers.hub_reading import CONVERTED, READING
from tests.servers.hub_writing import WRITING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

__all__ = ["CONVERTED", "HubServer", "cut"]


class HubServer(Hub):
    """The server, with methods that make the real client use it."""

    routes: ClassVar[Routes] = Routes(READING + WRITING)

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """Environment of a process that uses only this Hub."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        } | ({"HF_TOKEN": token} if token else {})

    def use(self, patch: pytest.MonkeyPatch, home: Path, token: str | None = None) -> None:
        """Have this process use this Hub: what the library read when it was imported, too."""
        from huggingface_hub import constants

        for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE"):
            patch.delenv(name, raising=False)
        for name, value in self.environment(home, token).items():
            patch.setenv(name, value)
        template = f"{self.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        patch.setattr(constants, "ENDPOINT", self.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        patch.setattr(constants, "AGENT_HARNESSES_PATH", str(home / "harnesses.json"))
