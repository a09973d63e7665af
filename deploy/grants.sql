-- What app_rw and app_ops may do with everything that app_owner makes in the connected database; run as app_owner
-- or a superuser. Default privileges are kept per database, so each new database needs this once (its clones inherit it).
\set ON_ERROR_STOP on
SELECT format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO app_rw, app_ops', current_database()) \gexec
ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO app_rw, app_ops;
ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT USAGE, SELECT ON SEQUENCES TO app_rw, app_ops;
