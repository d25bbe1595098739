-- Enter a new incarnation, with its first lease.
-- $1 incarnation uuid · $2 node_id text · $3 process_id text · $4 host text · $5 pid integer · $6 public_port integer
-- $7 internal_port integer · $8 management_port integer · $9 lease_ms integer · $10 roles text[]
-- One row {view_version}. Wakes every node that listens.
WITH entered AS (
  INSERT INTO node (incarnation, node_id, process_id, host, pid, public_port, internal_port, management_port,
                    state, lease_until, renewed_at, started_at, roles)
  VALUES ($1::uuid, $2, $3, $4, $5, $6, $7, $8, 'up',
          clock_timestamp() + $9::integer * interval '1 ms', clock_timestamp(), clock_timestamp(), $10::text[])
  RETURNING incarnation
)
SELECT nextval('view_version')::integer AS view_version, pg_notify(current_schema() || '_view', 'node:entered') FROM entered;
