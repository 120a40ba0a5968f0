"""Drover's gRPC contract: messages and services, generated."""
