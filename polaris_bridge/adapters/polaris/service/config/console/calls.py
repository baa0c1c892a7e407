"""The console API of the configuration centre as a table."""

from __future__ import annotations

from typing import Final

from polaris_bridge.adapters.polaris.service.console.filters import single
from polaris_bridge.adapters.polaris.service.routes import EVERYBODY, UNREAD, Handle, Query, Route, Takes, Upload
from polaris_bridge.core.auth.values import CONFIG_GROUP
from polaris_bridge.core.ports import Resource

from . import diff, files, groups, history, releases, transfer
from .diff import Diffs
from .files import Files
from .groups import Groups
from .history import Histories, Templates
from .office import Office
from .releases import Releases
from .transfer import Transfers

_WRITES: Final = frozenset({"default", "config"})
_READS: Final = _WRITES | {"default-read"}
_CLOSE: Final = UNREAD.rstrip()
_BATCH: Final = "BatchWriteResponse"
"""How the original answers a body that it cannot read, where it expects several messages."""


def _about_group(query: Query) -> tuple[Resource, ...]:
    """The group that a query is about; nothing in particular when it names none."""
    asked = single(query)
    namespace, group = asked.get("namespace", ""), asked.get("group", "")
    return (Resource(CONFIG_GROUP, namespace, group),) if group else ()


def _about_upload(upload: Upload) -> tuple[Resource, ...]:
    """Groups that only the archive names are looked at when it is read."""
    return _about_group(upload.query)


class ConfigConsole:
    """What consoles can do with configuration files; nothing where the centre is switched off."""

    def __init__(self, office: Office) -> None:
        self._open = office.settings.config_open
        self.groups = Groups(office)
        self.files = Files(office)
        self.releases = Releases(office)
        self.histories = Histories(office)
        self.templates = Templates(office)
        self.transfers = Transfers(office)
        self.diffs = Diffs(office)

    def routes(self) -> tuple[Route, ...]:
        """Its calls over HTTP."""
        if not self._open:
            return ()
        return (*self._groups(), *self._files(), *self._transfers(), *self._releases(), *self._others())

    def _groups(self) -> tuple[Route, ...]:
        path, calls = "configfilegroups", self.groups
        return (
            _write(
                "POST",
                path,
                "CreateConfigFileGroup",
                calls.create,
                "ConfigFileGroup",
                "Create a group of configuration files.",
                prefix=_CLOSE,
            ),
            _write(
                "PUT",
                path,
                "UpdateConfigFileGroup",
                calls.update,
                "ConfigFileGroup",
                "Change comment, business, department and metadata of a group.",
                prefix="",
            ),
            _remove(
                path, "DeleteConfigFileGroup", calls.delete, "Delete a group without files.", ("namespace", "group")
            ),
            _list(path, "DescribeConfigFileGroups", calls.find, "List groups by filters.", groups.FILTERS),
        )

    def _files(self) -> tuple[Route, ...]:
        path, calls = "configfiles", self.files
        names = ("namespace", "group", "name")
        return (
            _write("POST", path, "CreateConfigFile", calls.create, "ConfigFile", "Create a file.", prefix=""),
            _write(
                "PUT", path, "UpdateConfigFile", calls.update, "ConfigFile", "Change the draft of a file.", prefix=""
            ),
            _remove(path, "DeleteConfigFile", calls.delete, "Delete a file with everything released of it.", names),
            _write(
                "POST",
                f"{path}/batchdelete",
                "BatchDeleteConfigFiles",
                calls.delete_all,
                "ConfigFile",
                "Delete several files.",
                takes="list",
            ),
            _get(path, "DescribeConfigFileRichInfo", calls.get, "A file with its draft and status.", names),
            _list(f"{path}/by-group", "DescribeConfigFiles", calls.find, "The files of a group.", files.FILTERS),
            _list(f"{path}/search", "DescribeConfigFiles", calls.find, "List files by filters.", files.FILTERS),
            Route(
                method="GET",
                path=f"/config/v1/{path}/encryptalgorithm",
                operation="DescribeConfigEncryptAlgorithms",
                handle=calls.algorithms,
                response="ConfigEncryptAlgorithmResponse",
                include=_READS,
                door=EVERYBODY,
                about="By what files can be encrypted.",
            ),
        )

    def _transfers(self) -> tuple[Route, ...]:
        calls = self.transfers
        return (
            _write(
                "POST",
                "configfiles/export",
                "ExportConfigFiles",
                calls.export,
                "ConfigFileExportRequest",
                "Some groups, or some files of a group, as a zip archive.",
                response="ConfigExportResponse",
                unread=_BATCH,
            ),
            Route(
                method="POST",
                path="/config/v1/configfiles/import",
                operation="ImportConfigFiles",
                handle=calls.bring_in,
                takes="upload",
                response="ConfigImportResponse",
                include=_WRITES,
                resources=_about_upload,
                about="Make drafts of the files in a zip archive: a multipart form with the field config.",
                query=transfer.QUERY,
                unread="Response",
            ),
        )

    def _releases(self) -> tuple[Route, ...]:
        path, calls = "configfiles/releases", self.releases
        kind, batch = "ConfigFileRelease", "ConfigBatchWriteResponse"
        return (
            _write(
                "POST",
                "configfiles/release",
                "PublishConfigFile",
                calls.publish,
                kind,
                "Give a draft to clients, or to some of them.",
                prefix=_CLOSE,
            ),
            _write(
                "POST",
                "configfiles/createandpub",
                "UpsertAndReleaseConfigFile",
                calls.create_and_publish,
                "ConfigFilePublishInfo",
                "Create or change a file and give it to clients.",
                prefix="",
            ),
            _write(
                "PUT",
                f"{path}/rollback",
                "RollbackConfigFileReleases",
                calls.rollback,
                kind,
                "Bring releases back.",
                takes="list",
                response=batch,
            ),
            _write(
                "POST",
                f"{path}/delete",
                "DeleteConfigFileReleases",
                calls.delete,
                kind,
                "Delete releases.",
                takes="list",
                response=batch,
            ),
            _write(
                "POST",
                f"{path}/stopbeta",
                "StopGrayConfigFileReleases",
                calls.stop_gray,
                kind,
                "End the gray releases of files.",
                takes="list",
                response=batch,
            ),
            _get(
                "configfiles/release",
                "DescribeConfigFileRelease",
                calls.get,
                "A release by name, or the one that everybody sees.",
                ("namespace", "group", "file_name", "name", "release_name"),
            ),
            _list(
                path, "DescribeConfigFileReleases", calls.find, "List releases by filters.", releases.FILTERS, _WRITES
            ),
            _list(
                "configfiles/release/versions",
                "DescribeConfigFileReleaseVersions",
                calls.versions,
                "All releases of a file that everybody was given.",
                releases.VERSIONS,
                _WRITES,
            ),
            Route(
                method="GET",
                path=f"/config/v1/{path}/diff",
                operation="DescribeConfigFileReleases",
                handle=self.diffs.find,
                response="",
                include=_WRITES,
                resources=_about_group,
                about="What changed between two versions of a file, line by line.",
                query=diff.QUERY,
            ),
        )

    def _others(self) -> tuple[Route, ...]:
        return (
            _list(
                "configfiles/releasehistory",
                "DescribeConfigFileReleaseHistories",
                self.histories.find,
                "What happened to releases.",
                history.FILTERS,
            ),
            _list("configfiletemplates", "DescribeAllConfigFileTemplates", self.templates.find, "All templates.", ()),
            _write(
                "POST",
                "configfiletemplates",
                "CreateConfigFileTemplate",
                self.templates.create,
                "ConfigFileTemplate",
                "Create a template.",
                prefix=_CLOSE,
            ),
        )


def _write(
    method: str,
    path: str,
    operation: str,
    handle: Handle,
    request: str,
    about: str,
    *,
    takes: Takes = "one",
    response: str = "ConfigResponse",
    unread: str = "",
    prefix: str = UNREAD,
) -> Route:
    return Route(
        method=method,
        path=f"/config/v1/{path}",
        operation=operation,
        handle=handle,
        takes=takes,
        request=request,
        response=response,
        include=_WRITES,
        about=about,
        unread=_BATCH if takes == "list" else unread,
        unread_prefix=prefix,
    )


def _remove(path: str, operation: str, handle: Handle, about: str, query: tuple[str, ...]) -> Route:
    return Route(
        method="DELETE",
        path=f"/config/v1/{path}",
        operation=operation,
        handle=handle,
        response="ConfigResponse",
        include=_WRITES,
        resources=_about_group,
        about=about,
        query=query,
    )


def _get(path: str, operation: str, handle: Handle, about: str, query: tuple[str, ...]) -> Route:
    return Route(
        method="GET",
        path=f"/config/v1/{path}",
        operation=operation,
        handle=handle,
        response="ConfigResponse",
        include=_READS,
        resources=_about_group,
        about=about,
        query=query,
    )


def _list(
    path: str,
    operation: str,
    handle: Handle,
    about: str,
    query: tuple[str, ...],
    include: frozenset[str] = _READS,
) -> Route:
    """Lists are about no group in particular: what somebody may not see is left out."""
    return Route(
        method="GET",
        path=f"/config/v1/{path}",
        operation=operation,
        handle=handle,
        response="ConfigBatchQueryResponse",
        include=include,
        about=about,
        query=query,
    )
