"""The configuration centre: groups of files, their releases, who sees which of them, and what happened to them.

Everything is kept as documents of the core (kinds ``config-group``, ``config-file``, ``config-release``, ``config-body``,
``config-history``, ``config-counter``, ``config-template``), so a publication is committed and published like every other
command, in one transaction with whatever else belongs to it. ``centre.ConfigCentre`` is the door.

What lives in memory: all of it, once. A content is a document of its own (``config-body``), shared by the draft, the releases and
the history that say the same; everything else is small. Contents are reached through the port ``ports.Bodies`` alone, so those
that only history needs may move elsewhere without a change here. Who holds which version is in memory only.
"""
