"""Sockets and the stopwatch. The only room that stamps a request; it knows no wire language and no SQL.

Every open connection has one libev watcher on gevent's hub. Its callback receives, stamps and feeds the
HTTP parser, with no greenlet switch per read; the sending greenlet wakes once, when the response ends.
"""
