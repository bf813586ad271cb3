"""Doubles of Google's services on local ports, as strict as the real ones.

Each mirrors what Google documents, and what its own client libraries send. Who may call is asked of
one place, :mod:`tests.e2e.google.accounts`; what was called, and what goes wrong on the way, is in
each double's :class:`~tests.e2e.google.traffic.Traffic`.
"""
