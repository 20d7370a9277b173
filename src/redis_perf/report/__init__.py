"""Traces and verdicts as text. Pure: strings out, nothing printed."""
