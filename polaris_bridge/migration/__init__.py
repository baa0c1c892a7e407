"""Migration between registries: what stands in another registry is shown, planned, copied, compared and, at last, taken over.

``model`` and ``engine`` are values and pure decisions; ``connectors`` speak to registries; ``worker`` runs a task; ``keeping``
stores; ``desk`` is what operators ask for, ``routes`` its HTTP form. Stands above the core, beside the adapters, of which it
uses ``wire``, ``translate`` and the ``settings`` that these take.
"""
