"""What people read: ledger, audit, statistics, report and descriptors."""
