# Run once by the Postgres image, on an empty volume: two roles, and a database that belongs to the one that migrates.
# The passwords are hexadecimal (see the Makefile), so they need no quoting; psql quotes them anyway.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username postgres --dbname postgres <<'SQL'
\getenv owner_password OWNER_PASSWORD
\getenv serving_password SERVING_PASSWORD
SET password_encryption = 'scram-sha-256';
SET log_min_error_statement = 'panic';
CREATE ROLE opsconnect_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE opsconnect LOGIN PASSWORD :'serving_password';
CREATE DATABASE opsconnect OWNER opsconnect_owner;
REVOKE ALL ON DATABASE opsconnect FROM PUBLIC;
GRANT CONNECT ON DATABASE opsconnect TO opsconnect;
\connect opsconnect
-- Whatever migrations make, the serving role may use its rows. It never owns a table.
ALTER DEFAULT PRIVILEGES FOR ROLE opsconnect_owner
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO opsconnect;
SQL
