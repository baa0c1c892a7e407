"""The section ``store``."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from .fields import ByName, Empty, Section, key, unused
from .values import DataPath, SecretText, Text

DEFAULT_PATH = "polaris-bridge.db"
USE_INSTEAD = "store: {name: sqliteStore, option: {path: ./polaris-bridge.db}}"

Synchronous = Literal["normal", "full"]


def _under_data(path: Path | None, info: ValidationInfo) -> Path:
    return path or (info.context or {}).get("data_dir", Path()) / DEFAULT_PATH


class SqliteOption(Section):
    """Options of the embedded store."""

    path: DataPath = key(None, f"Database file; unset = `{DEFAULT_PATH}` under `--data`.", validate_default=True)
    synchronous: Synchronous = key(
        "normal",
        "`normal`: acknowledged writes survive a crash of the process; `full`: a power cut too, at one disk flush a batch.",
    )

    _place = field_validator("path")(_under_data)


class SqliteStore(ByName):
    """One SQLite file, the embedded store."""

    name: Literal["sqliteStore"] = key("sqliteStore", "One SQLite file.")
    option: SqliteOption = key({}, "Its options.", validate_default=True)


class BoltOption(Section):
    """Options of the original's embedded store."""

    path: DataPath = key(
        None,
        "File of the embedded store; one that this server did not write is refused, untouched.",
        validate_default=True,
    )
    load_file: DataPath = unused(None, "Users and policies that the original loads into a new store.")
    synchronous: Synchronous = key("normal", "As for `sqliteStore`.")

    _place = field_validator("path")(_under_data)


class BoltStore(ByName):
    """The original's name of an embedded store: here the same SQLite store, at its path."""

    name: Literal["boltdbStore"] = key("boltdbStore", "The embedded store under the original's name.")
    option: BoltOption = key({}, "Its options.", validate_default=True)


class MemoryStore(ByName):
    """Nothing is kept: for tests."""

    name: Literal["memoryStore"] = key("memoryStore", "Nothing outlives the process: for tests.")
    option: Empty = key(Empty.model_construct(), "It has no options.")


class Database(Section):
    """One database of the original's SQL store."""

    db_type: str = unused("mysql", "Kind of database.")
    db_name: Text = unused("", "Database.")
    db_user: Text = unused("", "User.")
    db_pwd: SecretText = unused(SecretStr(""), "Password.")
    db_addr: Text = unused("", "host:port.")
    max_open_conns: int = unused(300, "Connections.")
    max_idle_conns: int = unused(50, "Connections kept open.")
    conn_max_lifetime: int = unused(300, "Seconds after which a connection is closed.")
    tx_isolation_level: int = unused(2, "Isolation of transactions; 2 = read committed.")
    external_url_params: str = unused("", "Further parameters of the connection.")


class DatabaseOption(Section):
    """Databases of the original's SQL store."""

    master: Database = unused(Database.model_construct(), "Read and written.")
    slave: Database = unused(Database.model_construct(), "Read only.")


class DatabaseStore(ByName):
    """The original's SQL store: refused until nodes can share a store, since another store in silence would lose data."""

    effective: ClassVar[bool] = False
    name: Literal["defaultStore"] = unused(
        "defaultStore", "MySQL. Refused at start until several nodes can share a store."
    )
    option: DatabaseOption = unused(DatabaseOption.model_construct(), "Its options.")

    @model_validator(mode="after")
    def _refuse(self) -> Self:
        raise ValueError(f"defaultStore (MySQL) is not supported yet; write: {USE_INSTEAD}")


AnyStore = Annotated[SqliteStore | BoltStore | MemoryStore | DatabaseStore, Field(discriminator="name")]
