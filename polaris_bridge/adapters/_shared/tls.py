"""Server certificates that can be replaced while the listener runs."""

from __future__ import annotations

import logging
import os
import ssl

from polaris_bridge.adapters._shared.settings import TlsSettings

log = logging.getLogger("polaris_bridge.apiserver")


class Certificates:
    """Holds the TLS context for the next connection; connections that exist keep theirs."""

    def __init__(self, settings: TlsSettings, listener: str) -> None:
        """Loads the files; raises OSError or ssl.SSLError (naming listener and file) when they cannot be used."""
        self._settings = settings
        self._listener = listener
        for path in (settings.cert_file, settings.key_file, settings.trusted_ca_file):
            if path and not os.access(path, os.R_OK):
                raise FileNotFoundError(f"{listener}: {path} cannot be read; give tls a readable PEM file")
        self._seen = self._fingerprint()
        try:
            self.context = self._load()
        except ssl.SSLError as error:
            raise ssl.SSLError(f"{listener}: {settings.cert_file} with {settings.key_file}: {error}") from error
        """To be used for a connection that is accepted now."""

    def _load(self) -> ssl.SSLContext:
        settings = self._settings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(settings.cert_file, settings.key_file)
        if settings.trusted_ca_file:
            context.load_verify_locations(settings.trusted_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _fingerprint(self) -> tuple[tuple[int, int, int] | None, ...]:
        files = (self._settings.cert_file, self._settings.key_file, self._settings.trusted_ca_file)
        return tuple(_stamp(path) for path in files if path)

    def reload(self) -> bool:
        """Read the files again. On failure the old certificate stays in use, the log says why, and False returns."""
        self._seen = self._fingerprint()
        try:
            self.context = self._load()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            log.error(
                "%s: new certificate %s not usable (%s); the previous one stays in use until the files are replaced",
                self._listener,
                self._settings.cert_file,
                error,
            )
            return False
        log.info("%s: certificate %s loaded", self._listener, self._settings.cert_file)
        return True

    def reload_if_changed(self) -> None:
        """Reload when one of the files changed since the last attempt."""
        if self._fingerprint() != self._seen:
            self.reload()


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
