"""Pages of SOPs, the ledger and the cap."""
