"""Weights & Biases: online if the user is logged in, otherwise offline files to sync later."""

from __future__ import annotations

import importlib
import os
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from huggingtweets.track.protocol import Job

_INIT_TIMEOUT = 20.0


class WandbService:
    """Writes to W&B's server, or to files in a folder.

    Args:
        project: name of the W&B project.
        folder: for W&B's files.
    """

    def __init__(self, project: str, folder: Path) -> None:
        # where tables wait for the upload, and copies of files; deleting posts removes both
        os.environ["WANDB_DATA_DIR"] = str(folder / "wandb" / "data")
        os.environ["WANDB_CACHE_DIR"] = str(folder / "wandb" / "cache")
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self._agent_settings = _agent_settings()
        self.module: Any = importlib.import_module("wandb")
        # files of a run folder don't change, so W&B need not copy them
        self.add_file_options: Mapping[str, Any] = {"policy": "immutable", "skip_cache": True}
        self._project, self._folder = project, folder
        self._url, self._offline_folders, self._offline_reason = "", list[str](), ""
        self._mode = os.environ.get("WANDB_MODE") or self._login_mode()

    def begin(self, job: Job) -> Any:  # noqa: ANN401 - a run of wandb
        """Open a run. If the server can't be used, this run and all later ones are offline."""
        try:
            run = self._init(job)
        except self.module.Error as error:
            if self._mode == "offline":
                raise
            self._mode = "offline"
            self._offline_reason = f"W&B can't be used ({type(error).__name__})"
            self.module.teardown()  # W&B's service still holds the run's id
            run = self._init(job)
        if run.settings.mode == "offline":  # reading run.url would print a warning
            self._offline_folders.append(str(run.settings.sync_dir))
        else:
            self._url = run.url or self._url
        return run

    def use(self, run: Any, artifact: Any, digest: str) -> None:  # noqa: ANN401 - of wandb
        """Record that a run uses an artifact.

        W&B's ``use_artifact`` fails offline. Logging the artifact with ``use_after_commit`` has the
        same effect: it becomes an input when the run is synced, and equal files no new version.
        """
        del digest
        if run.settings.mode == "offline":
            run._log_artifact(artifact, is_user_created=True, use_after_commit=True)  # noqa: SLF001
        else:
            run.use_artifact(artifact)

    def end(self, run: Any, *, ok: bool) -> None:  # noqa: ANN401 - of wandb
        """Close a run."""
        run.finish(exit_code=0 if ok else 1)

    def message(self) -> str:
        """Where the runs are, or how to sync them."""
        if self._offline_folders:
            command = " ".join(["wandb sync", *map(shlex.quote, self._offline_folders)])
            reason = self._offline_reason or "Not logged in to W&B"
            return f"{reason}, so the run was logged offline. Upload it with: {command}"
        return f"W&B: {self._url}" if self._url else ""

    def _login_mode(self) -> str:
        try:
            logged_in = self.module.login(prompt=False, verify=False)
        except (self.module.Error, ValueError):
            logged_in, self._offline_reason = False, "The W&B API key is invalid"
        return "online" if logged_in else "offline"

    def _init(self, job: Job) -> Any:  # noqa: ANN401 - a run of wandb
        agent = self._agent_settings if job.kind == "train" else {}
        settings = self.module.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            save_code=False,
            disable_job_creation=True,
            root_dir=str(self._folder),
            init_timeout=_INIT_TIMEOUT,
            x_disable_stats=True,  # would measure this process, not the training
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
            **{key: value for key, value in agent.items() if key == "sweep_id"},
        )
        return self.module.init(
            project=self._project,
            id=agent.get("run_id", job.id),
            name=job.name,
            group=job.group,
            job_type=job.kind,
            config=dict(job.config),
            mode=self._mode,
            resume="allow",
            settings=settings,
        )


def _agent_settings() -> dict[str, str]:
    """The sweep and run ids, if a ``wandb agent`` started this process.

    They are removed from the environment: W&B would apply the agent's run id to all of our jobs.
    """
    names = {"WANDB_SWEEP_ID": "sweep_id", "WANDB_RUN_ID": "run_id", "WANDB_SWEEP_PARAM_PATH": ""}
    values = {key: os.environ.pop(name, "") for name, key in names.items()}
    if not values["sweep_id"]:
        return {}
    return {key: value for key, value in values.items() if key and value}
