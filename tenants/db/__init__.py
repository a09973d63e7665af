"""PostgreSQL backend that puts the brand on every statement, join, key and policy (see docs/tenancy.md)."""
