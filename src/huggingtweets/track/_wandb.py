"""Weights & Biases: online for those who are logged in, else in files to be sent later."""

from __future__ import annotations

import importlib
import os
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from huggingtweets.track.protocol import Job

_SECONDS_TO_REACH = 20.0


class WandbService:
    """Writes to W&B's server, or to files under a folder.

    Args:
        project: W&B's name for what belongs together.
        folder: for W&B's own files.
    """

    def __init__(self, project: str, folder: Path) -> None:
        os.environ.setdefault("WANDB_DATA_DIR", str(folder))  # tables wait there to be sent
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self._asked = _asked_by_agent()
        self.module: Any = importlib.import_module("wandb")
        # Files of a run folder stay, so W&B need not copy them.
        self.adding: Mapping[str, Any] = {"policy": "immutable", "skip_cache": True}
        self._project, self._folder = project, folder
        self._url, self._offline, self._why = "", list[str](), ""
        self._mode = os.environ.get("WANDB_MODE") or self._mode_of_user()

    def begin(self, job: Job) -> Any:  # noqa: ANN401 - a run of wandb
        """Open a run; where the server can't be reached this and all that follow are offline."""
        try:
            run = self._init(job)
        except self.module.Error as error:
            if self._mode == "offline":
                raise
            self._mode, self._why = "offline", f"W&B can't be used ({type(error).__name__})"
            self.module.teardown()  # its service still holds the run's id
            run = self._init(job)
        if run.settings.mode == "offline":  # where even asking for the address is warned about
            self._offline.append(str(run.settings.sync_dir))
        else:
            self._url = run.url or self._url
        return run

    def use(self, run: Any, made: Any, digest: str) -> None:  # noqa: ANN401 - of wandb
        """Say that a run works on an artifact.

        W&B refuses this offline, yet the record it would write exists: what is logged "to be used
        after commit" becomes an input when the run is sent, and equal files no new version.
        """
        del digest
        if run.settings.mode == "offline":
            run._log_artifact(made, is_user_created=True, use_after_commit=True)  # noqa: SLF001
        else:
            run.use_artifact(made)

    def end(self, run: Any, *, ok: bool) -> None:  # noqa: ANN401 - of wandb
        """Write what is left and close the run."""
        run.finish(exit_code=0 if ok else 1)

    def message(self) -> str:
        """Where it is, or how to send it."""
        if self._offline:
            send = " ".join(["wandb sync", *map(shlex.quote, self._offline)])
            return f"{self._why or 'Nobody is logged in to W&B'}: logged offline; send it: {send}"
        return f"W&B: {self._url}" if self._url else ""

    def _mode_of_user(self) -> str:
        try:
            known = self.module.login(prompt=False, verify=False)
        except (self.module.Error, ValueError):
            known, self._why = False, "The key of W&B can't be used"
        return "online" if known else "offline"

    def _init(self, job: Job) -> Any:  # noqa: ANN401 - a run of wandb
        asked = self._asked if job.kind == "train" else {}
        settings = self.module.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            save_code=False,
            disable_job_creation=True,
            root_dir=str(self._folder),
            init_timeout=_SECONDS_TO_REACH,
            x_disable_stats=True,  # of this process, which does nothing worth telling
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
            **{key: value for key, value in asked.items() if key == "sweep_id"},
        )
        return self.module.init(
            project=self._project,
            id=asked.get("run_id", job.id),
            name=job.name,
            group=job.group,
            job_type=job.kind,
            config=dict(job.config),
            mode=self._mode,
            resume="allow",
            settings=settings,
        )


def _asked_by_agent() -> dict[str, str]:
    """The sweep and the run that a ``wandb agent`` started this process for, if one did.

    They leave the environment, where W&B would take every job of ours for the agent's one run.
    """
    names = {"WANDB_SWEEP_ID": "sweep_id", "WANDB_RUN_ID": "run_id", "WANDB_SWEEP_PARAM_PATH": ""}
    found = {key: os.environ.pop(name, "") for name, key in names.items()}
    return (
        {key: value for key, value in found.items() if key and value} if found["sweep_id"] else {}
    )
