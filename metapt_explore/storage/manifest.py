"""What a result was made with: code, versions, hardware, threads."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from metapt_explore.storage.code_version import code_version

PACKAGES = (
    "metapt-explore",
    "torch",
    "transformers",
    "datasets",
    "scikit-learn",
    "hdbscan",
    "numpy",
    "scipy",
    "pandas",
    "safetensors",
)


@cache
def manifest() -> dict[str, Any]:
    """Code, versions, hardware and threads of this process; nothing that names the user or the machine."""
    import psutil
    import torch

    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "versions": versions,
        "code": code_version(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": torch.cpu.get_capabilities().get("cpu_name", platform.processor()),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": gpu,
    }
