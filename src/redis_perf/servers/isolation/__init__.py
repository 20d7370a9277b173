"""A clean Postgres database for each test, in one of three ways: `database`, `reset` and `rollback`.

`databases` clones new databases from sealed templates, `schema` fills the templates, `reset` cleans a database that is
kept from test to test, `rollback` keeps a connection to it as well. All of it is administered over `session`, plain
sockets that no tap sees, without a thread: what may be done behind a test's back is asked of the server before the
test and its answer read after it.
"""
