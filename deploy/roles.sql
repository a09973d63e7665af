-- The database and its three roles; run by psql as a superuser, safe to run again.
-- Used by the embedded Postgres (devtools/postgres.py) and by the production image (deploy/postgres-init.sh).
-- Passwords come from the environment, so that no process list shows them.
\set ON_ERROR_STOP on
\getenv owner_password APP_OWNER_PASSWORD
\getenv rw_password APP_RW_PASSWORD
\getenv ops_password APP_OPS_PASSWORD

SELECT 'CREATE ROLE app_owner' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app_owner') \gexec
SELECT 'CREATE ROLE app_rw' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app_rw') \gexec
SELECT 'CREATE ROLE app_ops' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app_ops') \gexec

-- owns database and tables: migrations, partitions; CREATEDB for the tests' clones
ALTER ROLE app_owner LOGIN CREATEDB NOSUPERUSER NOCREATEROLE NOBYPASSRLS PASSWORD :'owner_password';
-- web and workers: owns nothing, row-level security holds for it
ALTER ROLE app_rw LOGIN NOCREATEDB NOSUPERUSER NOCREATEROLE NOBYPASSRLS PASSWORD :'rw_password';
-- the few jobs over all brands
ALTER ROLE app_ops LOGIN NOCREATEDB NOSUPERUSER NOCREATEROLE BYPASSRLS PASSWORD :'ops_password';

SELECT 'CREATE DATABASE scrm OWNER app_owner' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'scrm') \gexec
\connect scrm
\ir grants.sql
