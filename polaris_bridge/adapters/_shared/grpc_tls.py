"""Certificates of a gRPC listener that can be replaced while it runs."""

from __future__ import annotations

from pathlib import Path

import grpc

from polaris_bridge.adapters._shared.settings import TlsSettings
from polaris_bridge.adapters._shared.tls import Certificates


class GrpcCertificates:
    """grpcio's credentials around files that ``Certificates`` has checked. Connections that exist keep theirs."""

    def __init__(self, settings: TlsSettings, listener: str) -> None:
        """Raises OSError or ssl.SSLError (naming listener and file) when the files cannot be used."""
        self._settings = settings
        self._files = Certificates(settings, listener)
        self._loaded = self._files.context
        self._fresh: grpc.ServerCertificateConfiguration | None = None
        self.credentials = grpc.dynamic_ssl_server_credentials(
            self._read(),
            self._fetch,  # type: ignore[arg-type]  # None is allowed
            require_client_authentication=bool(settings.trusted_ca_file),
        )

    def _read(self) -> grpc.ServerCertificateConfiguration:
        settings = self._settings
        pair = (Path(settings.key_file).read_bytes(), Path(settings.cert_file).read_bytes())
        authorities = Path(settings.trusted_ca_file).read_bytes() if settings.trusted_ca_file else None
        return grpc.ssl_server_certificate_configuration([pair], authorities)

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked by grpcio before every handshake, in a thread of its own: None = as before."""
        fresh, self._fresh = self._fresh, None
        return fresh

    def reload(self) -> bool:
        """Read the files again. On failure the old certificate stays in use, the log says why, and False returns."""
        done = self._files.reload()
        self._take_over()
        return done

    def reload_if_changed(self) -> None:
        """Reload when one of the files changed since the last attempt."""
        self._files.reload_if_changed()
        self._take_over()

    def _take_over(self) -> None:
        if self._files.context is not self._loaded:
            self._fresh = self._read()
            self._loaded = self._files.context
