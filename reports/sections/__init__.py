"""The sections of the report, each as part of the view."""
