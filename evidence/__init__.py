"""Records of what was measured: their types, signatures, ledger and attachments."""
