"""Traces to an OpenTelemetry collector; imported only when the settings name one."""
