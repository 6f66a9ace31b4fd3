"""The SDK: pull, publish, status over HTTP with a profile."""
