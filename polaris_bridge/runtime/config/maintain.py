"""The section ``maintain``: jobs that clean up."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from .fields import ByName, Section, key, unused
from .values import Duration


class Job(ByName):
    """What every job has."""

    name: str = key("", "Kind of the job.")
    enable: bool = key(False, "Whether the job runs.")
    interval: Duration = unused(timedelta(0), "Older: interval of its runs; each job has its own now.")
    cron_spec: str = unused("", "Older: times of its runs.")


class UnhealthyOption(Section):
    """Options of DeleteUnHealthyInstance."""

    instance_delete_timeout: Duration = key(
        timedelta(minutes=60), "How long an instance is unhealthy before it is deleted."
    )


class DeleteUnHealthyInstance(Job):
    """Deletes instances that stay unhealthy."""

    name: Literal["DeleteUnHealthyInstance"] = key("DeleteUnHealthyInstance", "Delete instances that stay unhealthy.")
    option: UnhealthyOption = key(UnhealthyOption.model_construct(), "Its options.")


class EmptyServiceOption(Section):
    """Options of DeleteEmptyAutoCreatedService."""

    service_delete_timeout: Duration = key(
        timedelta(minutes=30), "How long a service has no instance before it is deleted."
    )


class DeleteEmptyAutoCreatedService(Job):
    """Deletes services that registration created and that are empty again."""

    name: Literal["DeleteEmptyAutoCreatedService"] = key(
        "DeleteEmptyAutoCreatedService", "Delete services that a registration created and that stay empty."
    )
    option: EmptyServiceOption = key(EmptyServiceOption.model_construct(), "Its options.")


class DeletedInstancesOption(Section):
    """Options of CleanDeletedInstances."""

    instance_clean_timeout: Duration = key(
        timedelta(minutes=10), "How long a tombstone is kept, so that other nodes learn of the deletion."
    )
    service_delete_timeout: Duration = unused(timedelta(minutes=30), "Found here in older files by mistake.")


class CleanDeletedInstances(Job):
    """Removes tombstones of deleted instances from the store."""

    name: Literal["CleanDeletedInstances"] = key(
        "CleanDeletedInstances", "Remove tombstones of deleted instances from the store."
    )
    option: DeletedInstancesOption = key(DeletedInstancesOption.model_construct(), "Its options.")


class DeletedClientsOption(Section):
    """Options of CleanDeletedClients."""

    client_clean_timeout: Duration = key(timedelta(minutes=10), "How long the tombstone of an SDK's record is kept.")


class CleanDeletedClients(Job):
    """Removes SDK records."""

    name: Literal["CleanDeletedClients"] = key("CleanDeletedClients", "Remove tombstones of SDKs that went away.")
    option: DeletedClientsOption = key(DeletedClientsOption.model_construct(), "Its options.")


class HistoryOption(Section):
    """Options of CleanConfigReleaseHistory."""

    retention_days: Duration = key(
        timedelta(days=30),
        "How long history, and releases that nobody named or sees, are kept, as a duration (`168h`); at least 1 minute.",
    )
    batch_size: int = key(
        250, "Records removed at a time, at most 250; every 30 seconds, or soon again while there are more.", ge=1
    )


class CleanConfigReleaseHistory(Job):
    """Removes old history of the configuration centre."""

    name: Literal["CleanConfigReleaseHistory"] = key(
        "CleanConfigReleaseHistory", "Remove old history, releases and contents of the configuration centre."
    )
    option: HistoryOption = key(HistoryOption.model_construct(), "Its options.")


class DeletedResourcesOption(Section):
    """Options of CleanDeletedResources."""

    timeout: Duration = key(timedelta(minutes=20), "How long a tombstone is kept; never less than 2 minutes.")
    resources: list[Any] = unused([], "The same for single kinds of resource: {resource, timeout, enable}.")
    resource_timeout: list[Any] = unused([], "Another name of `resources`.")


class CleanDeletedResources(Job):
    """Removes tombstones of other kinds."""

    name: Literal["CleanDeletedResources"] = key(
        "CleanDeletedResources", "Remove tombstones of namespaces, services, rules and SDKs."
    )
    option: DeletedResourcesOption = key(DeletedResourcesOption.model_construct(), "Its options.")


AnyJob = Annotated[
    DeleteUnHealthyInstance
    | DeleteEmptyAutoCreatedService
    | CleanDeletedInstances
    | CleanDeletedClients
    | CleanConfigReleaseHistory
    | CleanDeletedResources,
    Field(discriminator="name"),
]


_DEFAULT_JOBS = [
    CleanDeletedInstances.model_construct(enable=True),
    CleanDeletedClients.model_construct(enable=True),
    CleanConfigReleaseHistory.model_construct(enable=True),
]


class Maintain(Section):
    """Jobs."""

    jobs: list[AnyJob] = key(
        _DEFAULT_JOBS, "Jobs by name. Without the list, the three that remove deleted records run."
    )
