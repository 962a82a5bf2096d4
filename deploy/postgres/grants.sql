-- What a serving process may do, and nothing beyond it. Run it as the role that migrates, after `opsconnect migrate`,
-- and again after every upgrade:
--
--     psql "$MIGRATING_URL" -v ON_ERROR_STOP=1 -v serving=opsconnect -f deploy/postgres/grants.sql
--
-- Rights on a partitioned table are enough for its partitions, those to come included. The day partitions are made by
-- a function that runs as the migrating role, so serving needs no right to change the schema.
BEGIN;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM :"serving";
GRANT USAGE ON SCHEMA public TO :"serving";
GRANT SELECT, INSERT ON events, conflicts TO :"serving";
GRANT SELECT, INSERT, UPDATE ON event_states TO :"serving";  -- UPDATE: states, counting duplicates, replays
GRANT SELECT, INSERT, DELETE ON delivery_keys TO :"serving";  -- DELETE: keys past their time
GRANT SELECT, INSERT, DELETE ON body_digests TO :"serving";  -- DELETE: digests past their time
GRANT SELECT, UPDATE (position) ON replay_looks TO :"serving";
GRANT SELECT, INSERT, DELETE ON inbox TO :"serving";  -- DELETE: planned. An identity column asks for no right of its own
GRANT SELECT, INSERT, UPDATE, DELETE ON open_jobs, workers TO :"serving";
GRANT SELECT, INSERT, DELETE ON finished_jobs TO :"serving";  -- DELETE: to be run again
GRANT SELECT, INSERT, UPDATE (event_id), DELETE ON refusals TO :"serving";  -- UPDATE: released as; DELETE: bounds
GRANT SELECT, INSERT ON registered_secrets TO :"serving";  -- where a registration is pending; opening one is not for it
GRANT SELECT, INSERT, UPDATE (revoked_at, last_used_at) ON api_keys TO :"serving";  -- by the API: created, revoked
GRANT SELECT, INSERT ON audit_log TO :"serving";  -- written before each action; nobody changes it
GRANT SELECT ON registrations, sources, connections, alembic_version TO :"serving";
REVOKE EXECUTE ON FUNCTION opsconnect_make_event_days(date, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION opsconnect_make_event_days(date, integer) TO :"serving";
COMMIT;
