"""The same verbs as ``enxuto.optimize`` and its like, done by a server."""

from enxuto.client.client import Client
from enxuto.client.errors import (
    DamagedDownload,
    DamagedUpload,
    JobCancelled,
    JobFailed,
    NotAuthorized,
    NotFound,
    NotReady,
    NotUnderstood,
    Problem,
    RequestRefused,
    ServerBroken,
    ServerBusy,
    Unreachable,
)
from enxuto.client.resources import Job, JobFile, Upload

__all__ = [
    "Client",
    "DamagedDownload",
    "DamagedUpload",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobFile",
    "NotAuthorized",
    "NotFound",
    "NotReady",
    "NotUnderstood",
    "Problem",
    "RequestRefused",
    "ServerBroken",
    "ServerBusy",
    "Unreachable",
    "Upload",
]
