"""The section ``naming``: registration, its batching, and self-protection."""

from datetime import timedelta
from typing import Any

from .fields import Section, Switch, key, unused
from .values import Duration


class Batch(Section):
    """How writes of one kind are gathered into transactions."""

    open: bool = key(True, "Gather writes; off: each write is a transaction of its own.")
    queue_size: int = key(10_240, "Writes that may wait; when full, the caller is told that the server is busy.", ge=1)
    wait_time: Duration = key(
        timedelta(milliseconds=32),
        "Bound of a write's wait for company. Never reached: an idle writer commits at once, a busy one takes what gathered.",
    )
    max_batch_count: int = key(32, "Writes of one transaction.", ge=1)
    concurrency: int = unused(64, "Transactions prepared at a time; one writer commits all of them here.", ge=1)
    drop_expire_task: bool = key(True, "Drop writes that waited longer than `taskLife`: their caller has given up.")
    task_life: Duration = key(timedelta(seconds=30), "How long a write may wait before it counts as given up.")


class RegistrationBatch(Batch):
    """As ``Batch``, with the sizes that the original ships for registrations."""

    max_batch_count: int = key(128, "Writes of one transaction.", ge=1)
    concurrency: int = unused(128, "Transactions prepared at a time; one writer commits all of them here.", ge=1)


class Batches(Section):
    """The batched kinds of write."""

    register_: RegistrationBatch = key(RegistrationBatch.model_construct(), "Registrations.", alias="register")
    deregister: RegistrationBatch = key(
        RegistrationBatch.model_construct(),
        "Deregistrations: they share the queue and its order with the others but are bounded on their own.",
    )
    heartbeat: Batch = unused(Batch.model_construct(), "Heartbeats; they are not stored here.")
    client_register: Batch = unused(Batch.model_construct(), "Reports of SDKs.")
    client_deregister: Batch = unused(Batch.model_construct(), "Removal of SDKs that went away.")


class SelfProtection(Section):
    """Holds expiry when so many leases end together that the network is the likelier culprit. Deregistration is never held."""

    open: bool = key(True, "Whether expiry is held at all.")
    percent: int = key(
        15,
        "Share of a namespace's leased instances that may expire within one lease length; Eureka's own threshold.",
        ge=0,
        le=100,
    )
    minimum: int = key(
        5, "Instances that may expire whatever their share, so that small namespaces still clean up.", ge=0
    )
    max_hold: Duration = key(timedelta(minutes=15), "Longest that expiry is held; then the instances go.")


class OldHealthCheck(Section):
    """Health check settings as the oldest files have them."""

    open: bool = unused(True, "Whether instances are checked.")
    slot_num: int = unused(30, "Slots of the time wheel.")
    max_idle: int = unused(20, "Idle connections to Redis.")
    idle_timeout: int = unused(120, "Seconds that such a connection may idle.")


class Naming(Section):
    """Services and instances."""

    auto_create: bool = key(
        True, "Create a service when its first instance registers; off: such registrations are refused."
    )
    max_metadata: int = key(
        64, "Pairs of metadata that a native registration may have; the original's limit. Dubbo may need more.", ge=1
    )
    l5_open: bool = unused(False, "Allow aliases of type L5.")
    batch: Batches = key(Batches.model_construct(), "Batching of writes.")
    self_protection: SelfProtection = key(SelfProtection.model_construct(), "Protection against mass expiry.")
    auth: Switch = unused(Switch.model_construct(), "Older switch of credential checks.")
    healthcheck: OldHealthCheck = unused(OldHealthCheck.model_construct(), "Older place of `healthcheck`.")


class AutoClean(Section):
    """Removal of dead services as the oldest files have it; `maintain.jobs` does this now."""

    open: bool = unused(False, "Whether it runs.")
    service: str = unused("", "Service by which one node is chosen.")
    check_interval: Any = unused(None, "Interval of its runs.")
    check_count_before_clean: int = unused(3, "Runs that must find a service dead.")
    expire_time: Any = unused(None, "Time after which a service is dead.")
