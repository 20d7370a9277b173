"""Fingerprints: what kind of question a command or statement is, without the values it asked about.

Two operations of one shape differ only in their values, so a shape that repeats on one line is the mark of an N+1.
All functions are pure, take any input and never raise.
"""

from redis_perf.shape.redis import key_pattern, redis_shape
from redis_perf.shape.sql import split_statements, sql_shape, sql_verb

__all__ = ["key_pattern", "redis_shape", "split_statements", "sql_shape", "sql_verb"]
