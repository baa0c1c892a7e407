"""gRPC without a word of registries: what handlers see of calls, and a server that carries them. From the inside out:

* ``rpc``: the table of methods and what a handler sees; all that adapters need to know, whatever transport serves it
* ``hpack_tables``, ``hpack``, ``frames``, ``headers``: codecs of HTTP/2, pure functions (RFC 7541, RFC 9113)
* ``limits``: every limit, with its reason
* ``streams``, ``contract``, ``sending``, ``connection``: HTTP/2 as a state machine without I/O
* ``grpc_framing``: messages, statuses, timeouts, gzip, pure functions
* ``call``, ``unary``, ``streaming``, ``calls``: what a handler of the table is asked, and when
* ``link``, ``listener``: sockets, TLS, time, draining
"""
